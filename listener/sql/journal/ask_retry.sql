-- A person asks for parked documents to be tried again. The xid first, then the clock.
WITH burnt AS MATERIALIZED (SELECT pg_catalog.pg_current_xact_id() AS xid)
INSERT INTO {journal} (updated_at, watch, kind, keys, reason)
SELECT pg_catalog.clock_timestamp(), %(watch)s, 'reconcile', r.request, %(reason)s
FROM burnt, pg_catalog.unnest(%(requests)s::text[]) AS r (request) WHERE burnt.xid IS NOT NULL
