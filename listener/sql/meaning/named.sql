-- What these names can mean to our session: class, object, its schema and name, whether that schema
-- is searched, whether the bare name leads to it, and whether it is a function that takes one argument,
-- which can be written as a column. Of operators, casts and operator classes only those that were made
-- for a built-in type: others come with a type. Of built-in functions those with a body in SQL or
-- another language: what is written in C names nothing.
SELECT 'pg_catalog.pg_class'::regclass::oid::bigint, c.oid::bigint, n.nspname::text, c.relname::text,
       n.nspname = ANY (pg_catalog.current_schemas(true)), pg_catalog.pg_table_is_visible(c.oid), false
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = ANY (%(names)s::text[]::name[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND c.oid >= 16384
UNION ALL
SELECT 'pg_catalog.pg_proc'::regclass::oid::bigint, p.oid::bigint, n.nspname, p.proname,
       n.nspname = ANY (pg_catalog.current_schemas(true)), pg_catalog.pg_function_is_visible(p.oid),
       p.pronargs >= 1 AND p.pronargs - p.pronargdefaults <= 1
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.proname = ANY (%(names)s::text[]::name[])
  AND (p.oid >= 16384 OR p.prolang NOT IN (12, 13))
UNION ALL
SELECT 'pg_catalog.pg_type'::regclass::oid::bigint, t.oid::bigint, n.nspname, t.typname,
       n.nspname = ANY (pg_catalog.current_schemas(true)), pg_catalog.pg_type_is_visible(t.oid), false
FROM pg_catalog.pg_type AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
WHERE t.typname = ANY (%(names)s::text[]::name[]) AND t.oid >= 16384
  AND coalesce(c.relkind, 'c') = 'c'
UNION ALL
SELECT 'pg_catalog.pg_collation'::regclass::oid::bigint, l.oid::bigint, n.nspname, l.collname,
       n.nspname = ANY (pg_catalog.current_schemas(true)), pg_catalog.pg_collation_is_visible(l.oid), false
FROM pg_catalog.pg_collation AS l
JOIN pg_catalog.pg_namespace AS n ON n.oid = l.collnamespace
WHERE l.collname = ANY (%(names)s::text[]::name[])
UNION ALL
SELECT 'pg_catalog.pg_ts_config'::regclass::oid::bigint, s.oid::bigint, n.nspname, s.cfgname,
       n.nspname = ANY (pg_catalog.current_schemas(true)), pg_catalog.pg_ts_config_is_visible(s.oid), false
FROM pg_catalog.pg_ts_config AS s
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.cfgnamespace
WHERE s.cfgname = ANY (%(names)s::text[]::name[])
UNION ALL
SELECT 'pg_catalog.pg_ts_dict'::regclass::oid::bigint, s.oid::bigint, n.nspname, s.dictname,
       n.nspname = ANY (pg_catalog.current_schemas(true)), pg_catalog.pg_ts_dict_is_visible(s.oid), false
FROM pg_catalog.pg_ts_dict AS s
JOIN pg_catalog.pg_namespace AS n ON n.oid = s.dictnamespace
WHERE s.dictname = ANY (%(names)s::text[]::name[])
UNION ALL
SELECT 'pg_catalog.pg_operator'::regclass::oid::bigint, o.oid::bigint, n.nspname, o.oprname,
       n.nspname = ANY (pg_catalog.current_schemas(true)), pg_catalog.pg_operator_is_visible(o.oid), false
FROM pg_catalog.pg_operator AS o
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.oprnamespace
WHERE o.oid >= 16384 AND (o.oprleft BETWEEN 1 AND 16383 OR o.oprright BETWEEN 1 AND 16383)
UNION ALL
SELECT 'pg_catalog.pg_cast'::regclass::oid::bigint, k.oid::bigint, '', '', true, true, false
FROM pg_catalog.pg_cast AS k
WHERE k.oid >= 16384 AND k.castsource < 16384 AND k.casttarget < 16384
UNION ALL
-- a default one for sorting or hashing decides what ORDER BY, DISTINCT and GREATEST do: 403 and 405 are btree and hash
SELECT 'pg_catalog.pg_opclass'::regclass::oid::bigint, k.oid::bigint, '', '', true, true, false
FROM pg_catalog.pg_opclass AS k
WHERE k.oid >= 16384 AND k.opcintype < 16384 AND k.opcdefault AND k.opcmethod IN (403, 405)
