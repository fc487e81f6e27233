-- Whether triggers kept a NOTIFY to themselves since then, because the queue was filling up.
SELECT EXISTS (SELECT FROM {journal} WHERE updated_at >= %(since)s AND reason = 'unheard')
