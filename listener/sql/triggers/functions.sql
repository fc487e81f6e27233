-- The functions of our schema: those that are ours are called listener_ and a hash.
SELECT f.proname, f.prosrc, f.prosecdef, coalesce(f.proconfig, '{}'),
       l.lanname = 'plpgsql' AND f.provolatile = 'v'
FROM pg_catalog.pg_proc AS f
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = f.prolang
WHERE n.nspname = %(schema)s AND f.pronargs = 0
  AND pg_catalog.starts_with(f.proname::pg_catalog.text, 'listener_')
ORDER BY f.proname
