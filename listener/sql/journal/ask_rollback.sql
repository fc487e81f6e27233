-- A person asks for a former index to be in use again. The xid first, then the clock.
WITH burnt AS MATERIALIZED (SELECT pg_catalog.pg_current_xact_id() AS xid)
INSERT INTO {journal} (updated_at, watch, kind, keys, reason)
SELECT pg_catalog.clock_timestamp(), %(watch)s, 'reconcile', %(request)s, %(reason)s
FROM burnt WHERE burnt.xid IS NOT NULL
