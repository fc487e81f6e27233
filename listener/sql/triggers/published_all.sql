-- Publications of all tables, and whether one of ours, or a column of it, would be new to them.
SELECT p.pubname::pg_catalog.text,
       EXISTS (
           SELECT FROM (VALUES ('meta', 'file'), ('journal', 'id'), ('parked', 'id'))
               AS w (relname, attname)
           WHERE NOT EXISTS (
               SELECT FROM pg_catalog.pg_namespace AS n
               JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = w.relname
               JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = w.attname
               WHERE n.nspname = %(schema)s AND NOT a.attisdropped))
FROM pg_catalog.pg_publication AS p
WHERE p.puballtables
ORDER BY p.pubname
