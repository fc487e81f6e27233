-- Take the lock of this pipeline for the life of the session.
SELECT pg_catalog.pg_try_advisory_lock(%(key)s)
