-- Put documents aside, or count one more failure of each.
INSERT INTO {table} AS p (document, id, reason, first_at, last_at, count)
SELECT %(document)s, n.id, n.reason, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(), 1
FROM ROWS FROM (pg_catalog.unnest(%(ids)s::text[]), pg_catalog.unnest(%(reasons)s::text[])) AS n (id, reason)
ON CONFLICT (document, id) DO UPDATE
SET reason = EXCLUDED.reason, last_at = EXCLUDED.last_at, count = p.count + 1
