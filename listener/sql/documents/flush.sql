-- Flush the WAL up to here: a message of our own in a committed transaction (synchronous_commit=on).
SELECT pg_catalog.pg_logical_emit_message(true, 'listener', '')
