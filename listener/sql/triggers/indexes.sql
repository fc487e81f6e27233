-- Indexes of these tables that lead with this column, or that are ours by name.
SELECT i.indrelid, n.nspname, x.relname,
       i.indisvalid AND i.indisready AND i.indpred IS NULL AND m.amname = 'btree'
           AND coalesce(i.indkey[0] = a.attnum, false),
       coalesce(h.inhparent, 0)
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = x.relnamespace
JOIN pg_catalog.pg_am AS m ON m.oid = x.relam
LEFT JOIN pg_catalog.pg_inherits AS h ON h.inhrelid = x.oid
LEFT JOIN pg_catalog.pg_attribute AS a
    ON a.attrelid = i.indrelid AND a.attname = %(column)s AND NOT a.attisdropped
WHERE i.indrelid = ANY (%(oids)s)
  AND (i.indkey[0] = a.attnum OR pg_catalog.starts_with(x.relname::pg_catalog.text, %(prefix)s))
