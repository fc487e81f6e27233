-- Our own schema, if there is one: its relations with their kind and columns (of a sequence: type, least and greatest
-- value), whether we may read them, and whether we own the schema.
SELECT c.relname, pg_catalog.concat(c.relkind, c.relpersistence),
       coalesce((SELECT pg_catalog.concat_ws(' ', pg_catalog.format_type(s.seqtypid, NULL),
                                             s.seqmin, s.seqmax)
                 FROM pg_catalog.pg_sequence AS s WHERE s.seqrelid = c.oid),
                (SELECT pg_catalog.string_agg(
                            a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod),
                            ', ' ORDER BY a.attnum)
                 FROM pg_catalog.pg_attribute AS a
                 WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), ''),
       pg_catalog.has_schema_privilege(n.oid, 'USAGE')
           AND coalesce(pg_catalog.has_table_privilege(c.oid, 'SELECT'), false),
       c.oid,
       coalesce(c.relname IN ('meta', 'journal', 'parked')
                AND pg_catalog.row_security_active(c.oid), false),
       pg_catalog.pg_has_role(n.nspowner, 'USAGE')
FROM pg_catalog.pg_namespace AS n
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid
    AND (c.relkind IN ('r', 'p', 'v', 'm', 'f') OR c.relname IN ('journal_updated_at_id', 'lost'))
    -- an index that was cut short is none
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_index AS i
                    WHERE i.indexrelid = c.oid AND NOT i.indisvalid)
WHERE n.nspname = %(schema)s
ORDER BY c.relname
