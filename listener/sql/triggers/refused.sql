-- What this role lacks for a step: the GRANT, and whether it would have to be the owner instead.
SELECT pg_catalog.format('GRANT CREATE ON DATABASE %%I TO %%I', pg_catalog.current_database(), current_user),
       false
WHERE %(schemas)s
  AND NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')
UNION ALL
SELECT pg_catalog.format('GRANT USAGE ON LANGUAGE plpgsql TO %%I', current_user), false
FROM pg_catalog.pg_language AS l
WHERE %(functions)s AND l.lanname = 'plpgsql'
  AND NOT pg_catalog.has_language_privilege(l.oid, 'USAGE')
UNION ALL
-- Columns and functions of ours are of these types.
SELECT pg_catalog.format('GRANT USAGE ON TYPE pg_catalog.%%I TO %%I', t.typname, current_user), false
FROM pg_catalog.pg_type AS t
WHERE t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND t.typname = ANY (%(types)s::text[]::name[])
  AND NOT pg_catalog.has_type_privilege(t.oid, 'USAGE')
UNION ALL
-- An index stands in the schema of its table; ours is for whoever makes things in it.
SELECT pg_catalog.format('GRANT USAGE, CREATE ON SCHEMA %%I TO %%I', n.nspname, current_user), false
FROM pg_catalog.pg_namespace AS n
WHERE (n.nspname = %(schema)s
       OR %(indexes)s AND EXISTS (
           SELECT FROM pg_catalog.pg_trigger AS g
           JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid AND c.relnamespace = n.oid
           JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
           JOIN pg_catalog.pg_namespace AS o ON o.oid = f.pronamespace
           WHERE o.nspname = %(schema)s AND pg_catalog.pg_has_role(c.relowner, 'USAGE'))
       OR n.oid IN (SELECT c.relnamespace FROM pg_catalog.pg_class AS c WHERE c.oid = ANY (%(oids)s)
                    AND NOT pg_catalog.has_schema_privilege(c.relnamespace, 'USAGE')))
  AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')
           AND pg_catalog.has_schema_privilege(n.oid, 'CREATE'))
UNION ALL
SELECT pg_catalog.format('GRANT CREATE ON TABLESPACE %%I TO %%I', s.spcname, current_user), false
FROM pg_catalog.pg_tablespace AS s
WHERE (%(tables)s OR %(indexes)s) AND s.spcname = pg_catalog.current_setting('default_tablespace')
  -- that of the database is for everybody
  AND s.oid <> (SELECT d.dattablespace FROM pg_catalog.pg_database AS d
                WHERE d.datname = pg_catalog.current_database())
  AND NOT pg_catalog.has_tablespace_privilege(s.oid, 'CREATE')
UNION ALL
-- An owner may have lost this one.
SELECT pg_catalog.format('GRANT TRIGGER ON TABLE %%I.%%I TO %%I', n.nspname, c.relname, current_user), false
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE %(triggers)s AND c.oid = ANY (%(oids)s) AND pg_catalog.pg_has_role(c.relowner, 'USAGE')
  AND NOT pg_catalog.has_table_privilege(c.oid, 'TRIGGER')
UNION ALL
-- Of the tables of the step; and of what is ours, for what may be wrong with it.
SELECT c.relname, true
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE (c.oid = ANY (%(oids)s) OR n.nspname = %(schema)s AND c.relkind = 'r')
  AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
UNION ALL
SELECT f.proname, true
FROM pg_catalog.pg_proc AS f
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
WHERE n.nspname = %(schema)s AND NOT pg_catalog.pg_has_role(f.proowner, 'USAGE')
