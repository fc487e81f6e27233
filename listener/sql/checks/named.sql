-- One table by its name: what our role may do with it and with the given columns of it. Of what can
-- be no table of documents and is not watched, a view above all, no right would help.
SELECT pg_catalog.has_schema_privilege(n.oid, 'USAGE'),
       pg_catalog.has_table_privilege(c.oid, 'SELECT')
       OR coalesce((SELECT pg_catalog.bool_and(
                               pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'))
                    FROM pg_catalog.pg_attribute AS a
                    WHERE a.attrelid = c.oid AND a.attname = ANY (%(columns)s::text[])), false),
       pg_catalog.row_security_active(c.oid)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p')
