-- What new sessions of our role get in this database; a row's xmin shows what was altered and put back.
SELECT s.setdatabase::bigint, s.setrole::bigint, s.xmin::text, s.setconfig::text
FROM pg_catalog.pg_db_role_setting AS s
WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database AS d
                            WHERE d.datname = pg_catalog.current_database()))
  AND s.setrole IN (0, (SELECT u.oid FROM pg_catalog.pg_roles AS u
                        WHERE u.rolname = session_user))
ORDER BY s.setdatabase, s.setrole
