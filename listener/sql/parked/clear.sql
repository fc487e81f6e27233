-- A later good version was indexed: the document is parked no longer.
DELETE FROM {table} WHERE document = %(document)s AND id = ANY(%(ids)s::text[])
