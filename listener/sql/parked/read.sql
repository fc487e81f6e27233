-- All parked documents: read once at start, kept in step in memory.
SELECT document, id FROM {table}
