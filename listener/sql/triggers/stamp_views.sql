-- The views WITH CHECK OPTION that read these columns, straight or through other views, and those that
-- they read them through: (view, name, which option, its query as PostgreSQL keeps it). To have that
-- as text would take locks. First those that have the option, usually none, and what they read.
WITH RECURSIVE checked AS (
    SELECT v.oid
    FROM pg_catalog.pg_class AS v
    WHERE v.relkind = 'v' AND v.reloptions && ARRAY['check_option=local', 'check_option=cascaded']
    UNION
    SELECT v.oid
    FROM checked AS c
    JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = c.oid
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
        AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
    JOIN pg_catalog.pg_class AS v ON v.oid = d.refobjid AND v.relkind = 'v'
), view_ AS (
    SELECT c.oid
    FROM ROWS FROM (pg_catalog.unnest(%(tables)s::bigint[]::oid[]),
                    pg_catalog.unnest(%(columns)s::integer[])) AS s (attrelid, attnum)
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.refobjid = s.attrelid AND s.attnum IN (0, d.refobjsubid) -- 0: whole rows
        AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    JOIN pg_catalog.pg_rewrite AS w ON w.oid = d.objid
    JOIN checked AS c ON c.oid = w.ev_class
    UNION
    SELECT c.oid
    FROM view_ AS u
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
        AND d.refobjid = u.oid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    JOIN pg_catalog.pg_rewrite AS w ON w.oid = d.objid
    JOIN checked AS c ON c.oid = w.ev_class
)
SELECT v.oid, n.nspname || '.' || v.relname,
       CASE WHEN 'check_option=cascaded' = ANY (v.reloptions) THEN 'cascaded'
            WHEN 'check_option=local' = ANY (v.reloptions) THEN 'local' END,
       w.ev_action::text
FROM view_ AS u
JOIN pg_catalog.pg_class AS v ON v.oid = u.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = v.relnamespace
JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = v.oid AND w.ev_type = '1'
ORDER BY 2
