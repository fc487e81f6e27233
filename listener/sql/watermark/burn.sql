-- L: an own transaction id, in its own committed statement. Every stamp before t has a smaller one.
SELECT pg_catalog.pg_current_xact_id()::text
