-- Tables and the like among some OIDs: name, kind, what our role may do, and what they are parts of.
WITH RECURSIVE up (start, oid, depth) AS (
    SELECT c.oid, c.oid, 0 FROM pg_catalog.pg_class AS c WHERE c.oid = ANY (%(oids)s::bigint[]::oid[])
    UNION
    SELECT up.start, i.inhparent, up.depth + 1
    FROM up JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = up.oid
)
SELECT n.nspname, c.relname, c.relkind::text,
       pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
       pg_catalog.has_table_privilege(c.oid, 'SELECT'),
       pg_catalog.row_security_active(c.oid),
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(an.nspname, ac.relname) ORDER BY up.depth)
        FROM up
        JOIN pg_catalog.pg_class AS ac ON ac.oid = up.oid
        JOIN pg_catalog.pg_namespace AS an ON an.oid = ac.relnamespace
        WHERE up.start = c.oid)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s::bigint[]::oid[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY n.nspname, c.relname
