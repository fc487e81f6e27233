-- Renewals of the nonce are counted. Version 1 and earlier builds of version 2 did not.
ALTER TABLE {schema}.meta ADD COLUMN IF NOT EXISTS line uuid,
    ADD COLUMN IF NOT EXISTS renewals bigint, ADD COLUMN IF NOT EXISTS file oid;
