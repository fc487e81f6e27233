-- Who else stamps a column of these tables: table, column, the schema of the other pipeline. A clone
-- has no WHEN clause of its own that names the column: that of its parent is looked at.
WITH RECURSIVE up (start, oid) AS (
    SELECT g.oid, g.oid
    FROM pg_catalog.pg_trigger AS g
    JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
    WHERE g.tgrelid = ANY (%(oids)s) AND n.nspname <> %(schema)s AND g.tgenabled <> 'D'
      AND pg_catalog.starts_with(g.tgname::pg_catalog.text, '~listener_stamp_')
    UNION
    SELECT up.start, g.tgparentid
    FROM up JOIN pg_catalog.pg_trigger AS g ON g.oid = up.oid AND g.tgparentid <> 0
)
SELECT DISTINCT s.tgrelid, a.attname, n.nspname
FROM up
JOIN pg_catalog.pg_trigger AS s ON s.oid = up.start
JOIN pg_catalog.pg_proc AS f ON f.oid = s.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass
    AND d.objid = up.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.refobjsubid > 0
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
ORDER BY 3
