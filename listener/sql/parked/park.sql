-- Put one document aside, or count one more failure of it.
INSERT INTO {table} AS p (document, id, reason, first_at, last_at, count)
VALUES (%(document)s, %(id)s, %(reason)s, pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp(), 1)
ON CONFLICT (document, id) DO UPDATE
SET reason = EXCLUDED.reason, last_at = EXCLUDED.last_at, count = p.count + 1
