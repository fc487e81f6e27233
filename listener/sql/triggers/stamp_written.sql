-- The columns that a stamp writes, in these tables and in all that they are parts of: itself; the generated
-- ones that are made of it, which change with it and stand for it; and 0, the row as a whole, where a
-- function takes it and names one of these: (table, column, whether it is made).
WITH RECURSIVE tree AS (
    SELECT t.oid
    FROM pg_catalog.unnest(%(oids)s::bigint[]::oid[]) AS t (oid)
    UNION
    SELECT i.inhparent
    FROM tree AS t
    JOIN pg_catalog.pg_inherits AS i ON i.inhrelid = t.oid
        AND (pg_catalog.to_jsonb(i) ->> 'inhdetachpending') IS DISTINCT FROM 'true'
), stamp AS (
    SELECT a.attrelid, a.attnum, a.attname
    FROM tree AS t
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid
    WHERE a.attname = %(column)s AND NOT a.attisdropped
), written AS (
    SELECT s.attrelid, s.attnum, s.attname, false AS made
    FROM stamp AS s
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
)
SELECT w.attrelid, w.attnum, w.made
FROM written AS w
UNION
SELECT w.attrelid, 0, false
FROM pg_catalog.pg_proc AS f
CROSS JOIN LATERAL pg_catalog.unnest(f.proargtypes) AS g (oid)
JOIN pg_catalog.pg_class AS c ON c.reltype = g.oid
JOIN written AS w ON w.attrelid = c.oid
    AND pg_catalog.strpos(pg_catalog.lower(f.prosrc), pg_catalog.lower(w.attname::pg_catalog.text)) > 0
