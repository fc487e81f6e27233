-- A person asks for a comparison of all documents that a watch leads to. The xid first, then the clock.
WITH burnt AS MATERIALIZED (SELECT pg_catalog.pg_current_xact_id() AS xid)
INSERT INTO {journal} (updated_at, watch, kind, reason)
SELECT pg_catalog.clock_timestamp(), w.watch, 'reconcile', %(reason)s
FROM burnt, pg_catalog.unnest(%(watches)s::text[]) AS w (watch) WHERE burnt.xid IS NOT NULL
