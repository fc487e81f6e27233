-- What would make a statement fail, or go elsewhere, if we wrote this column: (kind, name) each. Views
-- are in stamp_views. `written`: what a stamp writes, also in tables that ours are parts of, through
-- which rows of ours are written; `member`: of ours alone.
WITH written AS (
    SELECT *
    FROM ROWS FROM (pg_catalog.unnest(%(tables)s::bigint[]::oid[]),
                    pg_catalog.unnest(%(columns)s::integer[]),
                    pg_catalog.unnest(%(made)s::boolean[])) AS w (attrelid, attnum, made)
), member AS (
    SELECT w.attrelid, w.attnum, w.made
    FROM written AS w
    JOIN pg_catalog.unnest(%(oids)s::bigint[]::oid[]) AS m (oid) ON m.oid = w.attrelid
), reference AS (
    -- Keys that refer to the column refer to a unique index of it, which is an obstacle already.
    SELECT c.oid, c.conname, c.conparentid
    FROM member AS m
    JOIN pg_catalog.pg_constraint AS c ON c.conrelid = m.attrelid AND m.attnum = ANY (c.conkey)
    WHERE c.contype = 'f'
)
SELECT 'check' AS kind, c.conname::pg_catalog.text AS name
FROM member AS m
JOIN pg_catalog.pg_constraint AS c ON c.conrelid = m.attrelid
WHERE c.contype = 'c' AND m.attnum = ANY (c.conkey)
  AND (pg_catalog.to_jsonb(c) ->> 'conenforced') IS DISTINCT FROM 'false'
UNION
-- Of a unique index that is no part's copy: `key` where a foreign key could refer to it. An UPDATE that
-- stamps locks its row then as one that changes the key, FOR UPDATE, and who refers to it waits.
SELECT CASE WHEN i.indisexclusion OR i.indnkeyatts = 1 OR m.made OR NOT k.holds THEN 'unique'
            ELSE 'key' END, r.relname
FROM member AS m
JOIN pg_catalog.pg_index AS i ON i.indrelid = m.attrelid AND (i.indisunique OR i.indisexclusion)
JOIN pg_catalog.pg_class AS r ON r.oid = i.indexrelid
-- What it only carries along (INCLUDE) comes after its key.
CROSS JOIN LATERAL (
    SELECT m.attnum > 0 AND m.attnum = ANY ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])
) AS k (holds)
WHERE (k.holds AND (i.indisexclusion OR i.indnkeyatts = 1
                    -- what is made of it may be coarser than a moment
                    OR m.made
                    OR i.indexprs IS NULL AND i.indpred IS NULL)
       -- in an expression of the index, or its WHERE
       OR NOT k.holds
          AND pg_catalog.concat(i.indexprs, i.indpred) ~ (':varattno ' || m.attnum || '\M'))
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_inherits AS h
      JOIN pg_catalog.pg_index AS p ON p.indexrelid = h.inhparent
      WHERE h.inhrelid = i.indexrelid AND p.indrelid IN (SELECT o.attrelid FROM member AS o))
UNION
-- A generated column that is NOT NULL, by a CASE without ELSE or by NULLIF (what
-- COALESCE makes of these is not looked into).
SELECT 'null', a.attname
FROM member AS m
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = m.attrelid AND a.attnum = m.attnum
JOIN pg_catalog.pg_attrdef AS x ON x.adrelid = m.attrelid AND x.adnum = m.attnum
WHERE m.made AND a.attnotnull
  AND x.adbin::pg_catalog.text ~ '\{NULLIFEXPR|:defresult \{CONST [^{}]*:constisnull true'
  AND x.adbin::pg_catalog.text !~ '\{COALESCE'
UNION
SELECT 'reference', f.conname
FROM reference AS f
WHERE f.conparentid NOT IN (SELECT r.oid FROM reference AS r)
  AND EXISTS (
      SELECT FROM pg_catalog.pg_constraint AS c
      WHERE c.oid = f.oid AND (pg_catalog.to_jsonb(c) ->> 'conenforced') IS DISTINCT FROM 'false')
UNION
-- Rows are looked at as they are written, those of UPDATE by policies for SELECT too.
SELECT 'policy', p.polname
FROM written AS w
JOIN pg_catalog.pg_class AS r ON r.oid = w.attrelid AND r.relrowsecurity
JOIN pg_catalog.pg_policy AS p ON p.polrelid = r.oid AND p.polcmd <> 'd'
WHERE CASE WHEN w.attnum = 0 THEN pg_catalog.concat(p.polqual, p.polwithcheck) ~ ':varattno 0\M'
           ELSE EXISTS (
               SELECT FROM pg_catalog.pg_depend AS d
               WHERE d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass AND d.objid = p.oid
                 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                 AND d.refobjid = w.attrelid AND d.refobjsubid = w.attnum)
      END
  -- that of roles which write nothing is in nobody's way
  AND (0 = ANY (p.polroles) OR EXISTS (
      SELECT FROM pg_catalog.pg_roles AS o, pg_catalog.unnest(p.polroles) AS q (oid)
      WHERE pg_catalog.pg_has_role(o.oid, q.oid, 'USAGE') AND NOT (o.rolsuper OR o.rolbypassrls)
        AND pg_catalog.has_any_column_privilege(o.oid, r.oid, 'INSERT, UPDATE')))
UNION
SELECT 'partition', r.relname
FROM written AS w
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
    AND d.objid = w.attrelid AND d.objsubid = w.attnum
    AND d.refclassid = d.classid AND d.refobjid = d.objid AND d.refobjsubid = 0
    AND d.deptype = 'i'
JOIN pg_catalog.pg_class AS r ON r.oid = w.attrelid
WHERE r.relkind = 'p'
UNION
SELECT 'pipeline', n.nspname
FROM pg_catalog.pg_trigger AS g
JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
WHERE g.tgrelid IN (SELECT m.attrelid FROM member AS m) AND n.nspname <> %(schema)s
  AND pg_catalog.starts_with(g.tgname::pg_catalog.text, '~listener_stamp_')
  AND (%(selective)s OR pg_catalog.strpos(f.prosrc, 'record_image_ne') > 0)
ORDER BY 1, 2
