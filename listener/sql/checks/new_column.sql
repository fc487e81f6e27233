-- A row where the table is there and the column is not: functions of its triggers that name whole rows,
-- functions that return its rows, and its columns that could be a stamp. (A part, or a table of a type, is refused such a column.)
SELECT ARRAY(
    SELECT 'the function ' || f.oid::pg_catalog.regprocedure || ' of the trigger ' || g.tgname
    FROM pg_catalog.pg_trigger AS g
    JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
    WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
      AND f.prosrc ~* '\m(old|new)\s*\)?\s*\.\s*\*'
    UNION
    SELECT 'the function ' || f.oid::pg_catalog.regprocedure || ', which returns rows of it'
    FROM pg_catalog.pg_proc AS f
    JOIN pg_catalog.pg_type AS t ON t.oid = f.prorettype
    WHERE c.reltype IN (t.oid, t.typelem)
    ORDER BY 1), ARRAY(
    SELECT a.attname::pg_catalog.text
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND a.atttypid IN ('timestamptz'::pg_catalog.regtype, 'timestamp'::pg_catalog.regtype)
    ORDER BY a.attnum)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition AND c.reloftype = 0
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_attribute AS a
      WHERE a.attrelid = c.oid AND a.attname = %(column)s AND NOT a.attisdropped)
