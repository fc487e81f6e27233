-- Which history this is: cluster, timeline, database, and how far its WAL has come.
SELECT s.system_identifier::text,
       ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::integer,
       d.oid::bigint,
       pg_catalog.pg_current_wal_insert_lsn()::text
FROM pg_catalog.pg_control_system() AS s, pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
