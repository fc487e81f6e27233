-- Publications that would send a new column of these tables along: name, a table, how many more. With a
-- list of columns (PostgreSQL 15) they would not.
SELECT p.pubname::pg_catalog.text,
       min(n.nspname || '.' || c.relname),
       pg_catalog.count(*) - 1
FROM pg_catalog.pg_publication_tables AS t
JOIN pg_catalog.pg_publication AS p ON p.pubname = t.pubname
JOIN pg_catalog.pg_namespace AS n ON n.nspname = t.schemaname
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = t.tablename
WHERE c.oid = ANY (%(oids)s)
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_publication_rel AS r
      WHERE r.prpubid = p.oid AND r.prrelid = c.oid
        AND pg_catalog.to_jsonb(r) ->> 'prattrs' IS NOT NULL)
GROUP BY p.pubname
ORDER BY p.pubname
