-- All triggers that call one of our functions, with the column that the WHEN clause names.
SELECT g.oid, g.tgrelid, n.nspname, c.relname, g.tgname, g.tgtype::pg_catalog.int4,
       g.tgenabled::pg_catalog.text, g.tgparentid <> 0,
       coalesce(g.tgoldtable = 'old_rows', false),
       coalesce(g.tgnewtable = 'new_rows', false),
       f.proname,
       (SELECT a.attname
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND d.objid = g.oid
          AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0
        LIMIT 1),
       c.relkind = 'f',
       g.tgparentid
FROM pg_catalog.pg_trigger AS g
JOIN pg_catalog.pg_proc AS f ON f.oid = g.tgfoid
JOIN pg_catalog.pg_namespace AS s ON s.oid = f.pronamespace
JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE s.nspname = %(schema)s AND f.pronargs = 0 AND f.proname = ANY (%(functions)s::name[])
  AND (NOT g.tgisinternal OR g.tgparentid <> 0)
ORDER BY n.nspname, c.relname, g.tgname
