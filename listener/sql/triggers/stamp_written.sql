-- The columns that a stamp writes: itself, and the generated ones that are made of it, which change with
-- it and stand for it: (table, column, whether it is made).
WITH stamp AS (
    SELECT a.attrelid, a.attnum
    FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = ANY (%(oids)s) AND a.attname = %(column)s AND NOT a.attisdropped
)
SELECT s.attrelid, s.attnum, false
FROM stamp AS s
UNION
SELECT a.attrelid, a.attnum, true
FROM stamp AS s
JOIN pg_catalog.pg_attrdef AS x ON x.adrelid = s.attrelid
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = x.adrelid AND a.attnum = x.adnum
JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.refobjid = s.attrelid AND d.refobjsubid = s.attnum
    -- until PostgreSQL 14 it is the column that depends, then its expression
    AND (d.classid = d.refclassid AND d.objid = a.attrelid AND d.objsubid = a.attnum
         OR d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid = x.oid)
WHERE a.attgenerated <> '' AND NOT a.attisdropped
