-- All parked documents. The pipeline keeps them in memory; `max_parked` bounds how many there are.
-- Moments that a client cannot hold are the nearest that it can.
SELECT document, id, reason,
    LEAST(GREATEST(first_at, '0002-01-01 UTC'), '9998-01-01 UTC'),
    LEAST(GREATEST(last_at, '0002-01-01 UTC'), '9998-01-01 UTC'),
    count
FROM {table} AS p ORDER BY document, p.first_at, id
