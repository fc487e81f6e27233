-- What the time is on the server.
SELECT pg_catalog.clock_timestamp()
