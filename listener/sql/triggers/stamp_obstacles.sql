-- What would make a statement fail, or go elsewhere, if we wrote this column: (kind, name) each.
WITH member AS (
    SELECT a.attrelid, a.attnum
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = ANY (%(oids)s) AND a.attname = %(column)s AND NOT a.attisdropped
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
