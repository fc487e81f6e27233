-- A row where the column is there: whether a trigger of listener's stamps rows of this table already.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_trigger AS t
    WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND pg_catalog.left(t.tgname::text, 16) = '~listener_stamp_')
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = %(column)s AND NOT a.attisdropped
WHERE n.nspname = %(schema)s AND c.relname = %(table)s
