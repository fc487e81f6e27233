-- Indexes that one pipeline made, by their whole names and by what they are (REINDEX CONCURRENTLY leaves
-- one with an ending, if it is cut short); partitions' own are not listed. With that of a partitioned
-- table, the tables whose indexes go with it.
SELECT n.nspname, x.relname, x.relkind::pg_catalog.text, tn.nspname || '.' || t.relname,
       coalesce(parts.oids, ARRAY[t.oid]),
       coalesce(parts.names, ARRAY[pg_catalog.format('%%I.%%I', tn.nspname, t.relname)])
FROM pg_catalog.pg_class AS x
JOIN pg_catalog.pg_namespace AS n ON n.oid = x.relnamespace
JOIN pg_catalog.pg_index AS i ON i.indexrelid = x.oid
JOIN pg_catalog.pg_am AS m ON m.oid = x.relam
JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace
CROSS JOIN LATERAL (
    SELECT pg_catalog.array_agg(c.oid ORDER BY p.level, c.oid) AS oids,
           pg_catalog.array_agg(
               pg_catalog.format('%%I.%%I', cn.nspname, c.relname) ORDER BY p.level, c.oid
           ) AS names
    FROM pg_catalog.pg_partition_tree(t.oid) AS p
    JOIN pg_catalog.pg_class AS c ON c.oid = p.relid
        AND c.relkind <> 'f' -- LOCK TABLE refuses it, and it has no index
    JOIN pg_catalog.pg_namespace AS cn ON cn.oid = c.relnamespace
) AS parts
WHERE x.relkind IN ('i', 'I')
  AND x.relname::pg_catalog.text ~ ('^' || %(prefix)s || '[0-9a-f]{12}(_cc(new|old)[0-9]*)?$')
  AND m.amname = 'btree' AND i.indnatts = 1 AND NOT i.indisunique
  AND i.indexprs IS NULL AND i.indpred IS NULL
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS h WHERE h.inhrelid = x.oid)
ORDER BY n.nspname, x.relname
