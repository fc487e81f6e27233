-- The state of everything that records changes: tables, their parts, columns, triggers, functions,
-- our schema and who may use it. A row's xmin shows what was altered and altered back.
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
    SELECT c.oid, c.xmin, n.nspname || '.' || c.relname AS label, c.relkind, c.relpersistence,
           c.relnamespace, c.reltype, n.nspname = %(schema)s AS ours
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.oid IN (SELECT oid FROM tree) OR n.nspname = %(schema)s AND c.relkind IN ('r', 'S')
)
-- Of the watched tables too: a schema may be renamed, and another one bear its name for a while. (GRANT
-- on a schema leaves another row version as well.)
SELECT 'schema ' || n.nspname, pg_catalog.concat_ws(' ', n.oid, n.xmin)
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = %(schema)s OR n.oid IN (SELECT r.relnamespace FROM relation AS r)
UNION ALL
-- What not even the journal could take.
SELECT 'changes that were not recorded',
       CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
            THEN coalesce(pg_catalog.pg_sequence_last_value(c.oid), 0)::text ELSE 'unknown' END
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = 'lost' AND c.relkind = 'S'
UNION ALL
-- The owner of a watched table may do with it what he likes (VACUUM FULL, a comment): its xmin is
-- no sign. Of ours it is: rights that were revoked and given back, a TRUNCATE of the journal. A table
-- that was renamed, or moved to another schema, and back has left its name to another one meanwhile:
-- the row of its type shows it, which goes along, and with nothing else but a new owner. A part that
-- was detached and attached again shows in its row of pg_inherits. A sequence of ours may have been too
-- small for a while for what `lost` has to hold.
SELECT CASE r.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || r.label,
       pg_catalog.concat_ws(' ', r.oid, r.relkind, r.relpersistence,
           CASE WHEN r.ours THEN r.xmin END,
           (SELECT s.xmin FROM pg_catalog.pg_sequence AS s WHERE s.seqrelid = r.oid),
           (SELECT y.xmin FROM pg_catalog.pg_type AS y WHERE y.oid = r.reltype),
           (SELECT pg_catalog.string_agg(i.inhparent || ' ' || i.xmin, ',' ORDER BY i.inhparent)
            FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = r.oid),
           -- of the partitions that come and go only the default one leaves a trace
           (SELECT p.xmin FROM pg_catalog.pg_partitioned_table AS p WHERE p.partrelid = r.oid),
           (SELECT 'primary key ' || i.indkey::text
            FROM pg_catalog.pg_index AS i WHERE i.indrelid = r.oid AND i.indisprimary),
           (SELECT 'subscribed'
            WHERE EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS s WHERE s.srrelid = r.oid)))
FROM relation AS r
UNION ALL
-- A table without a child keeps until ANALYZE that it had one. A child that came and went since the last
-- look took its rows along, and no trigger fired.
SELECT 'former children of ' || r.label, r.oid::text
FROM relation AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.oid
WHERE c.relhassubclass
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = r.oid)
UNION ALL
-- All columns: a document may read any, and ALTER TYPE ... USING rewrites them without a trigger. One
-- that is gone stays as a row, its number is not given again: it may have come and gone since the last
-- look, and be in each document of a whole row.
SELECT CASE WHEN a.attisdropped THEN 'dropped column ' || r.label || ' ' || a.attnum
            ELSE 'column ' || r.label || '.' || a.attname END,
       pg_catalog.concat_ws(' ', a.attnum, a.xmin,
           pg_catalog.format_type(a.atttypid, a.atttypmod))
FROM relation AS r
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid
WHERE a.attnum > 0
UNION ALL
-- Our functions run with their owner's rights, and those of roles that he is a member of.
SELECT 'rights of ' || r.rolname,
       pg_catalog.concat_ws(' ', r.oid, r.rolsuper, r.rolinherit,
           (WITH RECURSIVE member AS (
                SELECT m.roleid, m.member, m.xmin FROM pg_catalog.pg_auth_members AS m
                WHERE m.member = r.oid
                UNION
                SELECT m.roleid, m.member, m.xmin FROM member AS s
                JOIN pg_catalog.pg_auth_members AS m ON m.member = s.roleid
            )
            SELECT pg_catalog.string_agg(
                       pg_catalog.concat_ws(':', s.roleid, s.member, s.xmin), ','
                       ORDER BY s.roleid, s.member, s.xmin::text)
            FROM member AS s))
FROM pg_catalog.pg_roles AS r
WHERE r.oid IN (SELECT f.proowner FROM pg_catalog.pg_proc AS f
                JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
                WHERE n.nspname = %(schema)s
                  AND pg_catalog.starts_with(f.proname::pg_catalog.text, 'listener_'))
UNION ALL
-- What they call may be revoked from him, and given back.
SELECT 'functions that ours call',
       pg_catalog.md5(pg_catalog.string_agg(
           pg_catalog.concat_ws(':', f.oid, f.xmin), ',' ORDER BY f.oid))
FROM pg_catalog.unnest(%(functions)s::text[]) AS w (name)
JOIN pg_catalog.pg_proc AS f ON f.oid = pg_catalog.to_regprocedure(w.name)
UNION ALL
SELECT 'trigger ' || r.label || ' ' || g.tgname,
       pg_catalog.concat_ws(' ', g.oid, g.xmin, g.tgenabled, f.oid, f.xmin,
           pg_catalog.md5(f.prosrc))
FROM relation AS r
JOIN pg_catalog.pg_trigger AS g ON g.tgrelid = r.oid
JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
WHERE n.nspname = %(schema)s
   -- somebody's BEFORE ROW trigger of INSERT or UPDATE that could fire after our stamp
   OR g.tgtype & 3 = 3 AND g.tgtype & 20 <> 0 AND g.tgname > '~listener_stamp_'
      AND NOT pg_catalog.starts_with(g.tgname::pg_catalog.text, '~listener_stamp_')
ORDER BY 1
