-- What would make a statement fail, or go elsewhere, if we wrote this column: (kind, name) each. A
-- generated column that is made of it changes with it, and stands for it.
WITH RECURSIVE stamp AS (
    SELECT a.attrelid, a.attnum, a.attname, false AS made
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = ANY (%(oids)s) AND a.attname = %(column)s AND NOT a.attisdropped
), member AS (
    SELECT * FROM stamp
    UNION
    SELECT a.attrelid, a.attnum, a.attname, true
    FROM stamp AS s
    JOIN pg_catalog.pg_attrdef AS x ON x.adrelid = s.attrelid
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.adrelid AND a.attnum = x.adnum
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.refobjid = s.attrelid AND d.refobjsubid = s.attnum
        -- until PostgreSQL 14 it is the column that depends, then its expression
        AND (d.classid = d.refclassid AND d.objid = a.attrelid AND d.objsubid = a.attnum
             OR d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = x.oid)
    WHERE a.attgenerated <> '' AND NOT a.attisdropped
), named AS (
    -- how the column stands in an expression that PostgreSQL prints
    SELECT m.attrelid, m.attnum,
           '(?<![\w$"])'
           || pg_catalog.regexp_replace(pg_catalog.quote_ident(m.attname), '(\W)', '\\\1', 'g')
           || '(?![\w$"])' AS pattern
    FROM member AS m
), reference AS (
    SELECT DISTINCT c.oid, c.conname, c.conparentid
    FROM member AS m
    JOIN pg_catalog.pg_constraint AS c ON c.contype = 'f'
        AND (c.conrelid = m.attrelid AND m.attnum = ANY (c.conkey)
             -- ON UPDATE CASCADE goes along
             OR c.confrelid = m.attrelid AND m.attnum = ANY (c.confkey) AND c.confupdtype <> 'c')
), view_ AS (
    -- views of it, and views of these; `kept`: what it shows is decided by the column
    SELECT v.oid, m.pattern, own.kept, own.kept AS here
    FROM named AS m
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.refobjid = m.attrelid AND d.refobjsubid = m.attnum
        AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    JOIN pg_catalog.pg_rewrite AS w ON w.oid = d.objid
    JOIN pg_catalog.pg_class AS v ON v.oid = w.ev_class AND v.relkind = 'v'
    CROSS JOIN LATERAL (
        SELECT coalesce(pg_catalog.substring(pg_catalog.pg_get_viewdef(v.oid), '\mWHERE\M.*')
                        ~ m.pattern, false) AS kept) AS own
    UNION
    SELECT v.oid, u.pattern, u.kept OR own.kept, own.kept
    FROM view_ AS u
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.refobjid = u.oid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    JOIN pg_catalog.pg_rewrite AS w ON w.oid = d.objid AND w.ev_class <> u.oid
    JOIN pg_catalog.pg_class AS v ON v.oid = w.ev_class AND v.relkind = 'v'
    CROSS JOIN LATERAL (
        SELECT coalesce(pg_catalog.substring(pg_catalog.pg_get_viewdef(v.oid), '\mWHERE\M.*')
                        ~ u.pattern, false) AS kept) AS own
)
SELECT 'check' AS kind, c.conname::pg_catalog.text AS name
FROM member AS m
JOIN pg_catalog.pg_constraint AS c ON c.conrelid = m.attrelid
WHERE c.contype = 'c' AND m.attnum = ANY (c.conkey)
UNION
SELECT 'unique', r.relname
FROM member AS m
JOIN pg_catalog.pg_index AS i ON i.indrelid = m.attrelid
JOIN pg_catalog.pg_class AS r ON r.oid = i.indexrelid
WHERE (i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = m.attnum)
   OR (i.indisexclusion AND m.attnum = ANY (i.indkey))
   -- what is made of it may be coarser than a moment
   OR (i.indisunique AND m.made AND m.attnum = ANY (i.indkey))
UNION
-- In an expression of the index, or its WHERE.
SELECT 'unique', r.relname
FROM member AS m
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.refclassid = d.classid AND d.refobjid = m.attrelid AND d.refobjsubid = m.attnum
JOIN pg_catalog.pg_index AS i ON i.indexrelid = d.objid AND i.indrelid = m.attrelid
JOIN pg_catalog.pg_class AS r ON r.oid = i.indexrelid
WHERE (i.indisunique OR i.indisexclusion) AND m.attnum <> ALL (i.indkey)
UNION
SELECT 'reference', f.conname
FROM reference AS f
WHERE f.conparentid NOT IN (SELECT r.oid FROM reference AS r)
UNION
-- Rows are looked at as they are written, those of UPDATE by policies for SELECT too.
SELECT 'policy', p.polname
FROM member AS m
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.refobjid = m.attrelid AND d.refobjsubid = m.attnum
JOIN pg_catalog.pg_policy AS p ON p.oid = d.objid AND p.polrelid = m.attrelid
JOIN pg_catalog.pg_class AS r ON r.oid = m.attrelid
WHERE r.relrowsecurity AND p.polcmd <> 'd'
UNION
SELECT 'view', n.nspname || '.' || r.relname
FROM view_ AS v
JOIN pg_catalog.pg_class AS r ON r.oid = v.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
WHERE v.kept AND 'check_option=cascaded' = ANY (r.reloptions)
   OR v.here AND 'check_option=local' = ANY (r.reloptions)
UNION
SELECT 'partition', r.relname
FROM member AS m
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.objid = m.attrelid AND d.objsubid = m.attnum
    AND d.refclassid = d.classid AND d.refobjid = d.objid AND d.refobjsubid = 0
    AND d.deptype = 'i'
JOIN pg_catalog.pg_class AS r ON r.oid = m.attrelid
WHERE r.relkind = 'p'
UNION
SELECT 'pipeline', n.nspname
FROM pg_catalog.pg_trigger AS g
JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
WHERE g.tgrelid = ANY (%(oids)s) AND n.nspname <> %(schema)s
  AND pg_catalog.starts_with(g.tgname::pg_catalog.text, '~listener_stamp_')
  AND (%(selective)s OR pg_catalog.strpos(f.prosrc, 'record_image_ne') > 0)
ORDER BY 1, 2
