-- These objects and all that they are made of: what each is called, its state, and, of a function
-- whose body is a text, that text and its settings. What belongs to an extension goes by the
-- extension's version. A state shows what was altered and altered back wherever the catalog has a
-- sign of it that GRANT, a comment or ANALYZE do not leave too.
WITH RECURSIVE reach (classid, objid) AS (
    SELECT s.classid, s.objid
    FROM ROWS FROM (
        pg_catalog.unnest(%(classes)s::bigint[]::oid[]), pg_catalog.unnest(%(objects)s::bigint[]::oid[])
    ) AS s (classid, objid)
    UNION
    SELECT e.classid, e.objid
    FROM reach AS r
    CROSS JOIN LATERAL (
        SELECT d.refclassid, d.refobjid
        FROM pg_catalog.pg_depend AS d
        WHERE d.classid = r.classid AND d.objid = r.objid AND d.deptype IN ('n', 'a', 'i', 'e')
        UNION ALL
        -- a view is its rule
        SELECT d.refclassid, d.refobjid
        FROM pg_catalog.pg_rewrite AS w
        JOIN pg_catalog.pg_depend AS d
            ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid AND d.deptype = 'n'
        WHERE r.classid = 'pg_catalog.pg_class'::regclass AND w.ev_class = r.objid AND w.ev_type = '1'
        UNION ALL
        -- row security, in functions that have it on
        SELECT d.refclassid, d.refobjid
        FROM pg_catalog.pg_policy AS y
        JOIN pg_catalog.pg_depend AS d
            ON d.classid = 'pg_catalog.pg_policy'::regclass AND d.objid = y.oid AND d.deptype = 'n'
        WHERE r.classid = 'pg_catalog.pg_class'::regclass AND y.polrelid = r.objid
        UNION ALL
        -- generated columns
        SELECT d.refclassid, d.refobjid
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
        JOIN pg_catalog.pg_depend AS d
            ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = f.oid AND d.deptype = 'n'
        WHERE r.classid = 'pg_catalog.pg_class'::regclass AND a.attrelid = r.objid
          AND a.attgenerated <> ''
        UNION ALL
        -- a composite type is a relation of its own
        SELECT 'pg_catalog.pg_class'::regclass, t.typrelid
        FROM pg_catalog.pg_type AS t
        WHERE r.classid = 'pg_catalog.pg_type'::regclass AND t.oid = r.objid AND t.typrelid <> 0
        UNION ALL
        -- the rows of a relation have a type, of which a cast or an operator may be made
        SELECT 'pg_catalog.pg_type'::regclass, c.reltype
        FROM pg_catalog.pg_class AS c
        WHERE r.classid = 'pg_catalog.pg_class'::regclass AND c.oid = r.objid AND c.reltype <> 0
        UNION ALL
        -- what makes an operator, an order or a cast of a type, or of its arrays, is a part of it
        SELECT m.classid, m.objid
        FROM pg_catalog.pg_type AS t
        CROSS JOIN LATERAL (
            SELECT 'pg_catalog.pg_operator'::regclass, o.oid
            FROM pg_catalog.pg_operator AS o
            WHERE o.oid >= 16384 AND (t.oid IN (o.oprleft, o.oprright) OR NULLIF(t.typarray, 0) IN (o.oprleft, o.oprright))
            UNION ALL
            SELECT 'pg_catalog.pg_cast'::regclass, k.oid
            FROM pg_catalog.pg_cast AS k
            WHERE k.oid >= 16384 AND (t.oid IN (k.castsource, k.casttarget) OR NULLIF(t.typarray, 0) IN (k.castsource, k.casttarget))
            UNION ALL
            SELECT 'pg_catalog.pg_opclass'::regclass, k.oid
            FROM pg_catalog.pg_opclass AS k
            WHERE k.oid >= 16384 AND k.opcintype IN (t.oid, NULLIF(t.typarray, 0))
        ) AS m (classid, objid)
        WHERE r.classid = 'pg_catalog.pg_type'::regclass AND t.oid = r.objid
        UNION ALL
        SELECT 'pg_catalog.pg_proc'::regclass, s.amproc
        FROM pg_catalog.pg_opclass AS k
        JOIN pg_catalog.pg_amproc AS s ON s.amprocfamily = k.opcfamily
        WHERE r.classid = 'pg_catalog.pg_opclass'::regclass AND k.oid = r.objid
        UNION ALL
        SELECT 'pg_catalog.pg_ts_dict'::regclass, m.mapdict
        FROM pg_catalog.pg_ts_config_map AS m
        WHERE r.classid = 'pg_catalog.pg_ts_config'::regclass AND m.mapcfg = r.objid
    ) AS e (classid, objid)
    WHERE (r.objid >= 16384 OR r.classid IN ('pg_catalog.pg_ts_config'::regclass, 'pg_catalog.pg_proc'::regclass))
      AND (e.objid >= 16384 OR e.classid = 'pg_catalog.pg_ts_dict'::regclass)
      AND e.classid IN (
          'pg_catalog.pg_class'::regclass, 'pg_catalog.pg_proc'::regclass,
          'pg_catalog.pg_type'::regclass, 'pg_catalog.pg_operator'::regclass,
          'pg_catalog.pg_cast'::regclass, 'pg_catalog.pg_opclass'::regclass,
          'pg_catalog.pg_collation'::regclass, 'pg_catalog.pg_ts_config'::regclass,
          'pg_catalog.pg_ts_dict'::regclass, 'pg_catalog.pg_extension'::regclass,
          'pg_catalog.pg_foreign_server'::regclass)
      AND (e.classid = 'pg_catalog.pg_extension'::regclass OR NOT EXISTS (
          SELECT FROM pg_catalog.pg_depend AS x
          WHERE x.classid = r.classid AND x.objid = r.objid AND x.deptype = 'e'))
)
SELECT r.classid::bigint, r.objid::bigint,
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view'
           WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type' WHEN 'S' THEN 'sequence'
           WHEN 'i' THEN 'index' ELSE 'table' END || ' ' || n.nspname || '.' || c.relname,
       -- what was renamed or moved, and put back, has left its name to another one for a while: the row
       -- of its type goes along, and with nothing else but a new owner. Of a type it is the row of its
       -- array, since GRANT is no sign
       pg_catalog.concat_ws(' ', c.oid, c.relkind,
           (SELECT y.xmin FROM pg_catalog.pg_type AS y WHERE y.oid = c.reltype AND c.relkind <> 'c'), CASE WHEN c.relkind IN ('v', 'm') THEN c.reloptions END,
           (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', w.oid, w.xmin), ',' ORDER BY w.oid)
            FROM pg_catalog.pg_rewrite AS w WHERE w.ev_class = c.oid AND w.ev_type = '1'),
           -- the audit of the triggers knows the columns of watched tables; of a dropped one the row
           -- stays, which shows what came and went
           (SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attnum, a.attname,
                       a.atttypid, a.atttypmod, a.attcollation, a.attfdwoptions, f.oid, f.xmin,
                       CASE WHEN c.relkind IN ('v', 'm', 'c') THEN a.xmin END), ',' ORDER BY a.attnum))
            FROM pg_catalog.pg_attribute AS a
            LEFT JOIN pg_catalog.pg_attrdef AS f
                ON f.adrelid = a.attrelid AND f.adnum = a.attnum AND a.attgenerated <> ''
            WHERE a.attrelid = c.oid AND a.attnum > 0
              AND NOT EXISTS (
                  SELECT FROM ROWS FROM (pg_catalog.unnest(%(schemas)s::text[]),
                                         pg_catalog.unnest(%(tables)s::text[])) AS w (nspname, relname)
                  WHERE w.nspname = n.nspname AND w.relname = c.relname)),
           (SELECT pg_catalog.concat_ws(' ', f.ftserver, f.ftoptions)
            FROM pg_catalog.pg_foreign_table AS f WHERE f.ftrelid = c.oid),
           NULLIF(c.relrowsecurity, false), CASE WHEN c.relforcerowsecurity THEN 'forced' END,
           (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', y.oid, y.xmin), ',' ORDER BY y.oid)
            FROM pg_catalog.pg_policy AS y WHERE y.polrelid = c.oid)),
       NULL::text, NULL::text[]
FROM reach AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE r.classid = 'pg_catalog.pg_class'::regclass
UNION ALL
SELECT r.classid::bigint, r.objid::bigint,
       CASE p.prokind WHEN 'a' THEN 'aggregate' ELSE 'function' END || ' ' || n.nspname || '.'
           || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
       pg_catalog.concat_ws(' ', CASE WHEN p.prosecdef THEN p.proowner END,
           -- which policies count for its owner
           (SELECT CASE WHEN u.rolsuper OR u.rolbypassrls THEN 'all'
                        ELSE (SELECT pg_catalog.md5(pg_catalog.string_agg(g.oid::text, ',' ORDER BY g.oid))
                              FROM pg_catalog.pg_roles AS g
                              WHERE pg_catalog.pg_has_role(u.oid, g.oid, 'USAGE')) END
            FROM pg_catalog.pg_roles AS u
            WHERE u.oid = p.proowner AND p.prosecdef AND p.proconfig::text ~* 'row_security='),
           pg_catalog.md5((pg_catalog.to_jsonb(p) - '{proacl,proowner,procost,prorows,prosupport,proparallel}'::text[])::text),
           -- CREATE OR REPLACE makes these anew, and GRANT does not
           (SELECT pg_catalog.max(d.xmin::text::bigint) || ' ' || pg_catalog.count(*)
            FROM pg_catalog.pg_depend AS d
            WHERE d.classid = r.classid AND d.objid = r.objid AND d.deptype = 'n'),
           (SELECT pg_catalog.concat_ws(' ', a.aggtransfn::oid, a.aggfinalfn::oid, a.aggcombinefn::oid, a.aggserialfn::oid,
                       a.aggdeserialfn::oid, a.aggmtransfn::oid, a.aggminvtransfn::oid, a.aggmfinalfn::oid,
                       a.aggsortop, a.aggtranstype, a.agginitval, a.aggminitval)
            FROM pg_catalog.pg_aggregate AS a WHERE a.aggfnoid = p.oid)),
       -- one whose body is not read, or is in a language of its own, may run any text that it is given
       CASE WHEN l.lanname = 'c' OR x.objid IS NOT NULL THEN 'EXECUTE'
            WHEN l.lanname = 'internal' OR pg_catalog.to_jsonb(p) ->> 'prosqlbody' IS NOT NULL THEN NULL
            WHEN l.lanname IN ('sql', 'plpgsql') THEN p.prosrc
            ELSE pg_catalog.concat(p.prosrc, ' EXECUTE') END,
       p.proconfig
FROM reach AS r
JOIN pg_catalog.pg_proc AS p ON p.oid = r.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_depend AS x ON x.classid = r.classid AND x.objid = r.objid AND x.deptype = 'e'
WHERE r.classid = 'pg_catalog.pg_proc'::regclass
UNION ALL
SELECT r.classid::bigint, r.objid::bigint, 'type ' || n.nspname || '.' || t.typname,
       pg_catalog.concat_ws(' ', t.oid,
           (SELECT y.xmin FROM pg_catalog.pg_type AS y WHERE y.oid = t.typarray), t.typtype, t.typbasetype, t.typtypmod, t.typcollation,
           (SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(' ', e.oid, e.xmin, e.enumlabel), ','
                                                        ORDER BY e.enumsortorder))
            FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid),
           (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', k.oid, k.xmin), ',' ORDER BY k.oid)
            FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid),
           (SELECT pg_catalog.concat_ws(' ', g.rngsubtype, g.rngcollation, g.rngsubopc, g.rngcanonical::oid)
            FROM pg_catalog.pg_range AS g WHERE g.rngtypid = t.oid)),
       NULL, NULL
FROM reach AS r
JOIN pg_catalog.pg_type AS t ON t.oid = r.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
-- the row type of a table or view shows in the state of that one
WHERE r.classid = 'pg_catalog.pg_type'::regclass
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.typrelid AND c.relkind <> 'c')
UNION ALL
SELECT r.classid::bigint, r.objid::bigint, pg_catalog.concat('operator ', n.nspname, '.', o.oprname, '(',
           pg_catalog.format_type(NULLIF(o.oprleft, 0), NULL), ',', pg_catalog.format_type(NULLIF(o.oprright, 0), NULL), ')'),
       pg_catalog.concat_ws(' ', o.oid, o.xmin, o.oprcode::oid), NULL, NULL
FROM reach AS r
JOIN pg_catalog.pg_operator AS o ON o.oid = r.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
WHERE r.classid = 'pg_catalog.pg_operator'::regclass
UNION ALL
SELECT r.classid::bigint, r.objid::bigint, pg_catalog.concat('cast of ', pg_catalog.format_type(k.castsource, NULL),
           ' to ', pg_catalog.format_type(k.casttarget, NULL)),
       pg_catalog.concat_ws(' ', k.oid, k.xmin), NULL, NULL
FROM reach AS r
JOIN pg_catalog.pg_cast AS k ON k.oid = r.objid
WHERE r.classid = 'pg_catalog.pg_cast'::regclass
UNION ALL
SELECT r.classid::bigint, r.objid::bigint, pg_catalog.concat('operator class ', k.opcname, ' ', k.oid),
       pg_catalog.concat_ws(' ', k.oid, k.xmin, k.opcdefault,
           (SELECT pg_catalog.md5(pg_catalog.string_agg(s.xmin::text, ',' ORDER BY s.oid))
            FROM pg_catalog.pg_amop AS s WHERE s.amopfamily = k.opcfamily),
           (SELECT pg_catalog.md5(pg_catalog.string_agg(s.xmin::text, ',' ORDER BY s.oid))
            FROM pg_catalog.pg_amproc AS s WHERE s.amprocfamily = k.opcfamily)), NULL, NULL
FROM reach AS r
JOIN pg_catalog.pg_opclass AS k ON k.oid = r.objid
WHERE r.classid = 'pg_catalog.pg_opclass'::regclass
UNION ALL
SELECT r.classid::bigint, r.objid::bigint, 'collation ' || n.nspname || '.' || l.collname,
       pg_catalog.concat_ws(' ', l.xmin, pg_catalog.md5((pg_catalog.to_jsonb(l) - '{collowner,collversion}'::text[])::text),
           pg_catalog.pg_collation_actual_version(l.oid)), NULL, NULL
FROM reach AS r
JOIN pg_catalog.pg_collation AS l ON l.oid = r.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = l.collnamespace
WHERE r.classid = 'pg_catalog.pg_collation'::regclass
UNION ALL
SELECT r.classid::bigint, r.objid::bigint, 'text search configuration ' || n.nspname || '.' || s.cfgname,
       pg_catalog.concat_ws(' ', s.oid, s.xmin, s.cfgparser,
           (SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(' ', m.xmin, m.maptokentype, m.mapseqno, m.mapdict),
                                                        ',' ORDER BY m.maptokentype, m.mapseqno))
            FROM pg_catalog.pg_ts_config_map AS m WHERE m.mapcfg = s.oid)), NULL, NULL
FROM reach AS r
JOIN pg_catalog.pg_ts_config AS s ON s.oid = r.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.cfgnamespace
WHERE r.classid = 'pg_catalog.pg_ts_config'::regclass
UNION ALL
SELECT r.classid::bigint, r.objid::bigint, 'text search dictionary ' || n.nspname || '.' || s.dictname,
       pg_catalog.concat_ws(' ', s.oid, s.xmin, s.dicttemplate, s.dictinitoption), NULL, NULL
FROM reach AS r
JOIN pg_catalog.pg_ts_dict AS s ON s.oid = r.objid
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.dictnamespace
WHERE r.classid = 'pg_catalog.pg_ts_dict'::regclass
UNION ALL
SELECT r.classid::bigint, r.objid::bigint, 'extension ' || x.extname,
       pg_catalog.concat_ws(' ', x.oid, x.extversion), NULL, NULL
FROM reach AS r
JOIN pg_catalog.pg_extension AS x ON x.oid = r.objid
WHERE r.classid = 'pg_catalog.pg_extension'::regclass
UNION ALL
SELECT r.classid::bigint, r.objid::bigint, 'foreign server ' || s.srvname,
       pg_catalog.concat_ws(' ', s.oid, pg_catalog.md5(s.srvoptions::text)), NULL, NULL
FROM reach AS r
JOIN pg_catalog.pg_foreign_server AS s ON s.oid = r.objid
WHERE r.classid = 'pg_catalog.pg_foreign_server'::regclass
