-- A notification of our own: a barrier, or a request to look.
SELECT pg_catalog.pg_notify(%(channel)s, %(payload)s)
