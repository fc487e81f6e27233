-- Our own schema: for each of its tables the rights that our role lacks; no row where all is well.
SELECT n.nspname, NULL AS relation, 'USAGE' AS lacking
FROM pg_catalog.pg_namespace AS n
WHERE n.nspname = %(schema)s AND NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')
UNION ALL
SELECT n.nspname, c.relname, pg_catalog.string_agg(r.right_name, ', ' ORDER BY r.right_name)
FROM pg_catalog.pg_namespace AS n
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
JOIN (VALUES ('meta', 'SELECT'), ('meta', 'UPDATE'), ('lost', 'SELECT'),
             ('journal', 'SELECT'), ('journal', 'INSERT'), ('journal', 'DELETE'),
             ('parked', 'SELECT'), ('parked', 'INSERT'), ('parked', 'UPDATE'), ('parked', 'DELETE')
     ) AS r (relation, right_name) ON r.relation = c.relname
WHERE n.nspname = %(schema)s AND NOT pg_catalog.has_table_privilege(c.oid, r.right_name)
GROUP BY n.nspname, c.relname
