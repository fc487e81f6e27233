-- The functions of our schema that are ours: by their whole name, or by what each of ours begins with. Another
-- one that is called listener_ something is not.
SELECT f.proname, f.prosrc, f.prosecdef, coalesce(f.proconfig, '{}'),
       l.lanname = 'plpgsql' AND f.provolatile = 'v'
FROM pg_catalog.pg_proc AS f
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = f.prolang
WHERE n.nspname = %(schema)s AND f.pronargs = 0
  AND f.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype
  AND (f.proname::pg_catalog.text
           ~ '^listener_[0-9a-f]{12}_(stamp|(insert|update|delete|truncate)(_row)?)$'
       OR pg_catalog.starts_with(f.proname::pg_catalog.text, 'listener_')
          AND pg_catalog.starts_with(f.prosrc, %(seal)s))
ORDER BY f.proname
