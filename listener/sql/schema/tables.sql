-- Our own schema, version {version}: meta (one row), the journal, parked documents.
CREATE TABLE IF NOT EXISTS {schema}.meta (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    schema_version integer NOT NULL,
    nonce uuid NOT NULL,
    pruned_below timestamptz NOT NULL,
    pipeline text,
    -- The nonce's number in its line of renewals, and the file of this table that it was written to:
    -- a row that a dump brings back stands in another one.
    line uuid,
    renewals bigint,
    file oid
);
-- Every writer pays for its one row here: one index, and no CHECK, whose text PostgreSQL parses at
-- each statement; who reads a kind that is neither 'keys' nor 'reconcile' reconciles.
-- The id only tells rows of one microsecond apart: each row writes WAL, so that no process has the
-- same position twice. A sequence would show in lastval() of the application, and the operating
-- system's random numbers cost more than the rest of the row.
-- The key is there for publications of all tables too: without one, they would refuse to prune.
CREATE TABLE IF NOT EXISTS {schema}.journal (
    id bigint NOT NULL DEFAULT pg_catalog.pg_lsn_hash_extended(
        pg_catalog.pg_current_wal_insert_lsn(), pg_catalog.pg_backend_pid()),
    updated_at timestamptz NOT NULL,
    watch text NOT NULL,
    kind text NOT NULL,
    keys text,
    reason text,
    CONSTRAINT journal_updated_at_id PRIMARY KEY (updated_at, id)
) WITH (toast_tuple_target = 8160);
CREATE TABLE IF NOT EXISTS {schema}.parked (
    document text NOT NULL,
    id text NOT NULL,
    reason text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (document, id)
);
-- Counts what even the journal could not take: no lock and no right on it stands in the way.
CREATE SEQUENCE IF NOT EXISTS {schema}.lost;
INSERT INTO {schema}.meta (schema_version, nonce, pruned_below)
VALUES ({version}, pg_catalog.gen_random_uuid(), pg_catalog.clock_timestamp())
ON CONFLICT (singleton) DO NOTHING;
