-- The libraries of this extension: before one is loaded, nobody knows which settings it has. The
-- validator of functions in C loads the library, reads no table and locks nothing.
SELECT pg_catalog.fmgr_c_validator(f.oid)
FROM (
    SELECT DISTINCT ON (p.probin) p.oid
    FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_proc AS p ON p.oid = d.objid
    JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang AND l.lanname = 'c'
    WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = %(extension)s::bigint::oid
      AND d.classid = 'pg_catalog.pg_proc'::regclass AND d.deptype = 'e'
    ORDER BY p.probin, p.oid
) AS f
