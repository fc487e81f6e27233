-- One page of the journal, by keyset.
SELECT updated_at, id, watch, kind, keys::text, reason, xmin::text FROM {journal}
WHERE updated_at >= %(since)s AND (updated_at < %(until)s OR %(until)s::timestamptz = 'infinity') AND (updated_at, id) > (%(after)s, %(after_id)s)
  AND {young}
ORDER BY updated_at, id LIMIT %(limit)s
