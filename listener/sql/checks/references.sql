-- How a table could be watched: its columns that reference the document's key, else its primary key.
SELECT con.contype = 'f', (
           SELECT pg_catalog.json_agg(a.attname ORDER BY u.place)
           FROM pg_catalog.unnest(con.conkey) WITH ORDINALITY AS u (attnum, place)
           JOIN pg_catalog.pg_attribute AS a ON a.attrelid = con.conrelid AND a.attnum = u.attnum)
FROM pg_catalog.pg_constraint AS con
JOIN pg_catalog.pg_class AS c ON c.oid = con.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_class AS dc ON dc.oid = con.confrelid
LEFT JOIN pg_catalog.pg_namespace AS dn ON dn.oid = dc.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND (
    con.contype = 'p'
    OR con.contype = 'f' AND dn.nspname = %(document_schema)s AND dc.relname = %(document_table)s
    AND (SELECT pg_catalog.array_agg(a.attname::text ORDER BY u.place)
         FROM pg_catalog.unnest(con.confkey) WITH ORDINALITY AS u (attnum, place)
         JOIN pg_catalog.pg_attribute AS a
             ON a.attrelid = con.confrelid AND a.attnum = u.attnum) = %(document_key)s::text[])
ORDER BY con.contype, con.oid
LIMIT 1
