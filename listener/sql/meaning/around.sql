-- What every query's result depends on: the server's version, the database's own collation, what the
-- server came with, settings in force now, and those that our role has in this database, which new sessions get.
SELECT 'version', 'server', pg_catalog.current_setting('server_version_num')
UNION ALL
SELECT 'collation', c.collname, pg_catalog.pg_collation_actual_version(c.oid)
FROM pg_catalog.pg_collation AS c
WHERE c.collname = 'default' AND c.collprovider = 'd'
UNION ALL
SELECT 'collation', 'of ' || d.datname, pg_catalog.concat_ws(' ', d.datcollate, d.datctype)
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
UNION ALL
-- what the server came with can be replaced, too: GRANT leaves no sign in these
SELECT 'built-in', 'functions', pg_catalog.concat_ws(' ',
           pg_catalog.sum(pg_catalog.hashtextextended(p.prosrc, p.oid::bigint)),
           pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', p.prolang, p.probin, p.proconfig, p.prosecdef, p.proisstrict,
               CASE WHEN p.prolang <> 13 THEN pg_catalog.to_jsonb(p) ->> 'prosqlbody' END), p.oid::bigint))
               FILTER (WHERE p.prolang <> 12 OR p.prosecdef OR p.proconfig IS NOT NULL))
FROM pg_catalog.pg_proc AS p
WHERE p.oid < 16384
UNION ALL
SELECT 'built-in', 'aggregates', pg_catalog.concat(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat(a.xmin), a.aggfnoid::oid::bigint)))
FROM pg_catalog.pg_aggregate AS a
WHERE a.aggfnoid < 16384
UNION ALL
SELECT 'built-in', 'views', pg_catalog.concat(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat(w.xmin), w.oid::bigint)))
FROM pg_catalog.pg_rewrite AS w
WHERE w.ev_class < 16384
UNION ALL
SELECT 'now', s.name, pg_catalog.current_setting(s.name, true)
FROM pg_catalog.unnest(%(settings)s::text[]) AS s (name)
UNION ALL
SELECT 'role', pg_catalog.split_part(one, '=', 1),
       pg_catalog.concat_ws(' ', s.setdatabase, s.setrole, one)
FROM pg_catalog.pg_db_role_setting AS s
CROSS JOIN pg_catalog.unnest(s.setconfig) AS one
WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d
                            WHERE d.datname = pg_catalog.current_database()))
  AND s.setrole IN (0, (SELECT u.oid FROM pg_catalog.pg_roles AS u
                        WHERE u.rolname = session_user))
ORDER BY 1, 2, 3
