-- The state of everything that records changes: tables, their parts, columns, triggers, functions.
WITH RECURSIVE tree AS (
    SELECT c.oid
    FROM ROWS FROM (
        pg_catalog.unnest(%(schemas)s::text[]), pg_catalog.unnest(%(tables)s::text[])
    ) AS w (nspname, relname)
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = w.nspname
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.relname
    UNION
    SELECT i.inhrelid
    FROM tree AS t
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.oid
), relation AS (
    SELECT c.oid, n.nspname || '.' || c.relname AS label, c.relkind, c.relpersistence
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid IN (SELECT oid FROM tree) OR n.nspname = %(schema)s AND c.relkind = 'r'
)
SELECT 'table ' || r.label,
       pg_catalog.concat_ws(' ', r.oid, r.relkind, r.relpersistence,
           (SELECT pg_catalog.string_agg(i.inhparent::text, ',' ORDER BY i.inhparent)
            FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = r.oid))
FROM relation AS r
UNION ALL
SELECT 'column ' || r.label || '.' || a.attname,
       pg_catalog.concat_ws(' ', a.attnum, a.xmin,
           pg_catalog.format_type(a.atttypid, a.atttypmod))
FROM relation AS r
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid
WHERE a.attname = ANY (%(columns)s) AND NOT a.attisdropped AND a.attnum > 0
UNION ALL
SELECT 'trigger ' || r.label || ' ' || g.tgname,
       pg_catalog.concat_ws(' ', g.oid, g.xmin, g.tgenabled, f.oid, f.xmin,
           pg_catalog.md5(f.prosrc))
FROM relation AS r
JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = r.oid
JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
WHERE n.nspname = %(schema)s
ORDER BY 1
