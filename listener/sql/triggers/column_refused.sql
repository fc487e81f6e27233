-- Why PostgreSQL would not add a column to this table, and so to its parts: (kind, name) each.
WITH RECURSIVE made_of AS (
    SELECT c.reltype AS oid
    FROM pg_catalog.pg_class AS c
    WHERE c.oid = ANY (%(oids)s)
    UNION
    SELECT t.oid
    FROM made_of AS m
    JOIN (SELECT a.oid, a.typelem FROM pg_catalog.pg_type AS a WHERE a.typelem <> 0
          UNION ALL
          SELECT d.oid, d.typbasetype FROM pg_catalog.pg_type AS d WHERE d.typbasetype <> 0
          UNION ALL
          SELECT c.reltype, a.atttypid
          FROM pg_catalog.pg_attribute AS a
          JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.reltype <> 0
          WHERE NOT a.attisdropped) AS t (oid, part) ON t.part = m.oid
)
SELECT 'part' AS kind, pg_catalog.format('%%I.%%I', n.nspname, r.relname) AS name
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_class AS r ON r.oid = pg_catalog.pg_partition_root(c.oid)
JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
WHERE c.oid = %(oid)s AND c.relispartition
UNION
SELECT 'typed', pg_catalog.format_type(c.reloftype, NULL)
FROM pg_catalog.pg_class AS c
WHERE c.oid = %(oid)s AND c.reloftype <> 0
UNION
SELECT 'row', n.nspname || '.' || c.relname || '.' || a.attname
FROM made_of AS m
JOIN pg_catalog.pg_attribute AS a ON a.atttypid = m.oid AND NOT a.attisdropped
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'm')
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
UNION
-- It would become one with the column of this name that an inheritance child has.
SELECT 'child', n.nspname || '.' || c.relname
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE a.attrelid = ANY (%(oids)s) AND a.attname = %(column)s AND NOT a.attisdropped
  AND (a.atttypid <> 'pg_catalog.timestamptz'::pg_catalog.regtype OR a.atttypmod <> -1
       OR a.attgenerated <> '')
ORDER BY 1, 2
