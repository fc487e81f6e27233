-- Limits that a statement may meet because of our triggers: of the server, of databases and of roles. A
-- setting of a role or database is the text that somebody wrote.
SELECT p.name, p.reset_val || coalesce(p.unit, ''), NULL::pg_catalog.text
FROM pg_catalog.pg_settings AS p
WHERE p.name IN ('temp_file_limit', 'max_notify_queue_pages')
UNION ALL
SELECT pg_catalog.split_part(s.setting, '=', 1), pg_catalog.split_part(s.setting, '=', 2),
       pg_catalog.concat_ws(' in ', 'role ' || u.rolname, 'database ' || d.datname)
FROM pg_catalog.pg_db_role_setting AS r
CROSS JOIN pg_catalog.unnest(r.setconfig) AS s (setting)
LEFT JOIN pg_catalog.pg_roles AS u ON u.oid = r.setrole
LEFT JOIN pg_catalog.pg_database AS d ON d.oid = r.setdatabase
WHERE pg_catalog.split_part(s.setting, '=', 1) = 'temp_file_limit'
  AND r.setdatabase IN (0, (SELECT m.oid FROM pg_catalog.pg_database AS m
                            WHERE m.datname = pg_catalog.current_database()))
ORDER BY 1, 3
