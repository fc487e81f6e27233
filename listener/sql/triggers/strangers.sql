-- What of others would go with our schema, or keep PostgreSQL from dropping it: (what, whether it is in
-- the schema). Else it is made of ours. Ours are these relations and functions, and what PostgreSQL
-- drops along with them without a question. Triggers are dropped before.
WITH RECURSIVE ours (classid, objid) AS (
    SELECT 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid, n.oid
    FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname = %(schema)s
    UNION
    SELECT 'pg_catalog.pg_class'::pg_catalog.regclass, c.oid
    FROM pg_catalog.unnest(%(relations)s::bigint[]::oid[]) AS c (oid)
    UNION
    SELECT 'pg_catalog.pg_proc'::pg_catalog.regclass, f.oid
    FROM pg_catalog.pg_proc AS f
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
    WHERE n.nspname = %(schema)s AND f.pronargs = 0 AND f.proname = ANY (%(functions)s::name[])
    UNION
    SELECT d.classid, d.objid
    FROM ours AS o
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = o.classid AND d.refobjid = o.objid
    WHERE d.deptype IN ('a', 'i', 'P', 'S')
), theirs AS (
    -- a view hangs on ours by its rule, and what an extension made goes with the extension
    SELECT coalesce(e.refclassid, v.relation, d.classid) AS classid,
           coalesce(e.refobjid, r.ev_class, d.objid) AS objid,
           CASE WHEN coalesce(e.refobjid, r.ev_class) IS NULL THEN d.objsubid ELSE 0 END AS objsubid,
           d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass AS inside
    FROM ours AS o
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = o.classid AND d.refobjid = o.objid
        AND d.deptype = 'n' AND d.classid <> 'pg_catalog.pg_trigger'::pg_catalog.regclass
    LEFT JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid AND r.rulename = '_RETURN'
        AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
    LEFT JOIN pg_catalog.pg_depend AS e ON e.classid = d.classid AND e.objid = d.objid
        AND e.deptype = 'e'
    LEFT JOIN (VALUES ('pg_catalog.pg_class'::pg_catalog.regclass::pg_catalog.oid)) AS v (relation)
        ON r.oid IS NOT NULL
    WHERE NOT EXISTS (SELECT FROM ours AS x WHERE x.classid = d.classid AND x.objid = d.objid)
)
SELECT i.type || ' ' || i.identity, pg_catalog.bool_or(t.inside)
FROM theirs AS t
CROSS JOIN LATERAL pg_catalog.pg_identify_object(t.classid, t.objid, t.objsubid) AS i
GROUP BY 1
ORDER BY 1
