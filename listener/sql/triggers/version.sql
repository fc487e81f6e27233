-- The version of our own schema, and whose it is; version 1 did not know that.
SELECT m.schema_version, pg_catalog.to_jsonb(m) ->> 'pipeline' FROM {schema}.meta AS m
