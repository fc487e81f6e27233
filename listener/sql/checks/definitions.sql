-- Of these views and functions: what each is called, its text, and what takes different texts of its
-- columns for one: a nondeterministic collation, or citext.
SELECT CASE c.relkind WHEN 'm' THEN 'the materialized view ' ELSE 'the view ' END || n.nspname || '.' || c.relname,
       pg_catalog.pg_get_viewdef(c.oid),
       (SELECT pg_catalog.min(a.attname || ' of ' || coalesce(l.collname, t.typname))
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation AND NOT l.collisdeterministic
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND (l.oid IS NOT NULL OR t.typname = 'citext'))
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(classes)s::bigint[]::oid[]) AND c.relkind IN ('v', 'm')
UNION ALL
SELECT 'the function ' || n.nspname || '.' || p.proname, pg_catalog.pg_get_functiondef(p.oid), NULL
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE p.oid = ANY (%(functions)s::bigint[]::oid[]) AND p.prokind <> 'a' AND l.lanname NOT IN ('c', 'internal')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS x
                  WHERE x.classid = 'pg_catalog.pg_proc'::regclass AND x.objid = p.oid AND x.deptype = 'e')
ORDER BY 1
