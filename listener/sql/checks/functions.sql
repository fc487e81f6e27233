-- Functions of these names that a plan can mean: is one volatile, may one read tables unseen?
SELECT n.nspname = 'pg_catalog', n.nspname, p.proname,
       pg_catalog.bool_or(p.provolatile = 'v'),
       pg_catalog.bool_or(l.lanname NOT IN ('c', 'internal') AND p.provolatile <> 'i')
FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(names)s::text[]))
    AS call (schema, name)
JOIN pg_catalog.pg_proc AS p ON p.proname = call.name
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE CASE WHEN call.schema = '' THEN pg_catalog.pg_function_is_visible(p.oid) ELSE n.nspname = call.schema END
GROUP BY n.nspname, p.proname
ORDER BY n.nspname, p.proname
