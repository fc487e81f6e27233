-- The version of our own schema.
SELECT schema_version FROM {schema}.meta
