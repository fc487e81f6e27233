-- What our role lacks to make our own schema, where that is not there as a whole: the right, and the GRANT.
WITH lacks AS (
    SELECT n.oid IS NULL AS schema, pg_catalog.count(c.oid) < 4 AS tables
    FROM (VALUES (%(schema)s::text)) AS own (name)
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = own.name
    LEFT JOIN pg_catalog.pg_class AS c
        ON c.relnamespace = n.oid AND c.relname IN ('meta', 'journal', 'parked', 'lost')
    GROUP BY n.oid
)
SELECT 'CREATE on the database ' || pg_catalog.current_database(),
       pg_catalog.format('GRANT CREATE ON DATABASE %%I TO %%I;', pg_catalog.current_database(), current_user)
FROM lacks
WHERE lacks.schema AND NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
UNION ALL
SELECT 'USAGE or CREATE on it', pg_catalog.format('GRANT USAGE, CREATE ON SCHEMA %%I TO %%I;', n.nspname, current_user)
FROM lacks, pg_catalog.pg_namespace AS n
WHERE lacks.tables AND n.nspname = %(schema)s
  AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_schema_privilege(n.oid, 'CREATE'))
UNION ALL
SELECT 'USAGE on the language plpgsql', pg_catalog.format('GRANT USAGE ON LANGUAGE plpgsql TO %%I;', current_user)
FROM lacks, pg_catalog.pg_language AS l
WHERE lacks.tables AND l.lanname = 'plpgsql' AND NOT pg_catalog.has_language_privilege(l.oid, 'USAGE')
UNION ALL
SELECT 'USAGE on the type ' || t.typname,
       pg_catalog.format('GRANT USAGE ON TYPE pg_catalog.%%I TO %%I;', t.typname, current_user)
FROM lacks, pg_catalog.pg_type AS t
WHERE lacks.tables AND t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
  AND t.typname = ANY (%(types)s::text[]::name[]) AND NOT pg_catalog.has_type_privilege(t.oid, 'USAGE')
