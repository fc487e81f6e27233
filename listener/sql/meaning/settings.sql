-- Settings of these names, and those of these extensions, where they are not as they are built in:
-- which others a session knows depends on the libraries that it has loaded by then.
SELECT s.name, pg_catalog.current_setting(s.name, true)
FROM (
    SELECT pg_catalog.unnest(%(names)s::text[])
    UNION
    SELECT p.name FROM pg_catalog.pg_settings AS p
    WHERE pg_catalog.split_part(p.name, '.', 1) IN (
        SELECT x.extname FROM pg_catalog.pg_extension AS x
        WHERE x.oid = ANY (%(extensions)s::bigint[]::oid[]))
) AS s (name)
WHERE pg_catalog.current_setting(s.name, true) IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_settings AS p
                  WHERE pg_catalog.lower(p.name) = pg_catalog.lower(s.name) AND p.setting = p.boot_val)
ORDER BY s.name
