-- From version 1 to 2: nothing is rewritten, and what is in the journal stays.
ALTER TABLE {schema}.journal ALTER COLUMN id DROP IDENTITY IF EXISTS,
    ALTER COLUMN id SET DEFAULT pg_catalog.pg_lsn_hash_extended(
        pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.pg_backend_pid());
ALTER TABLE {schema}.meta ADD COLUMN IF NOT EXISTS pipeline text;
UPDATE {schema}.meta SET schema_version = 2;
