-- All parked documents. The pipeline keeps them in memory; `max_parked` bounds how many there are.
SELECT document, id, reason, first_at, last_at, count FROM {table} ORDER BY document, first_at, id
