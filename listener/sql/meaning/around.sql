-- What every query's result depends on: the server's version, the database's own collation, settings
-- in force now, and those that our role has in this database, which new sessions get.
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
