-- One page of the journal, by keyset. There is no upper bound: with one, PostgreSQL takes the rows for few where the
-- journal was not analyzed yet, and sorts all the rest of it for each page.
-- The stamp comes as text, for most rows are read again at the next poll, and remembered by it. All names are
-- qualified: ORDER BY would take an output column, which is text.
SELECT j.updated_at::text, j.id, j.watch, j.kind, j.keys::text, j.reason, j.xmin::text FROM {journal} AS j
WHERE j.updated_at >= %(since)s::timestamptz AND (j.updated_at, j.id) > (%(after)s::timestamptz, %(after_id)s)
  AND {young}
ORDER BY j.updated_at, j.id LIMIT %(limit)s
