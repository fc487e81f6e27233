-- What the daemon's role may do in our schema.
SELECT pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')
   AND pg_catalog.has_table_privilege(r.oid, meta.oid, 'SELECT')
   AND pg_catalog.has_table_privilege(r.oid, meta.oid, 'UPDATE')
   AND pg_catalog.has_sequence_privilege(r.oid, lost.oid, 'SELECT')
   AND pg_catalog.has_table_privilege(r.oid, journal.oid, 'SELECT')
   AND pg_catalog.has_table_privilege(r.oid, journal.oid, 'INSERT')
   AND pg_catalog.has_table_privilege(r.oid, journal.oid, 'DELETE')
   AND pg_catalog.has_table_privilege(r.oid, parked.oid, 'SELECT')
   AND pg_catalog.has_table_privilege(r.oid, parked.oid, 'INSERT')
   AND pg_catalog.has_table_privilege(r.oid, parked.oid, 'UPDATE')
   AND pg_catalog.has_table_privilege(r.oid, parked.oid, 'DELETE')
FROM pg_catalog.pg_roles AS r
LEFT JOIN pg_catalog.pg_namespace AS n ON n.nspname = %(schema)s
LEFT JOIN pg_catalog.pg_class AS meta ON meta.relnamespace = n.oid AND meta.relname = 'meta'
LEFT JOIN pg_catalog.pg_class AS lost
    ON lost.relnamespace = n.oid AND lost.relname = 'lost' AND lost.relkind = 'S'
LEFT JOIN pg_catalog.pg_class AS journal
    ON journal.relnamespace = n.oid AND journal.relname = 'journal'
LEFT JOIN pg_catalog.pg_class AS parked ON parked.relnamespace = n.oid AND parked.relname = 'parked'
WHERE r.rolname = %(role)s
