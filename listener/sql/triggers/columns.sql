-- The columns of a table: types without modifier, what makes a column unfit as key or as stamp.
SELECT a.attname,
       pg_catalog.format_type(a.atttypid, NULL),
       t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AS built_in,
       a.atttypmod,
       a.attgenerated::pg_catalog.text,
       coalesce(l.collisdeterministic, true) AS deterministic,
       coalesce(a.attnum = ANY (p.indkey), false) AS in_primary_key,
       a.atttypid::pg_catalog.int8
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_collation AS l ON l.oid = a.attcollation
LEFT JOIN pg_catalog.pg_index AS p ON p.indrelid = a.attrelid AND p.indisprimary
WHERE a.attrelid = %(oid)s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
