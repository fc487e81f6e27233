-- The constants, as bytes, of views, generated columns, functions whose body is no text, policies and
-- domains among these objects that ask for a setting by its name: 2077 and 3294 are the two functions
-- current_setting, in every version. (To have the text of a view would take locks.)
SELECT m.bytes[1]
FROM (
    SELECT w.ev_action::text AS tree
    FROM pg_catalog.pg_rewrite AS w
    WHERE w.ev_class = ANY (%(classes)s::bigint[]::oid[]) AND w.ev_type = '1'
    UNION ALL
    SELECT f.adbin::text FROM pg_catalog.pg_attrdef AS f
    WHERE f.adrelid = ANY (%(classes)s::bigint[]::oid[])
    UNION ALL
    SELECT y.polqual::text FROM pg_catalog.pg_policy AS y
    WHERE y.polrelid = ANY (%(classes)s::bigint[]::oid[])
    UNION ALL
    SELECT pg_catalog.to_jsonb(p) ->> 'prosqlbody' FROM pg_catalog.pg_proc AS p
    WHERE p.oid = ANY (%(functions)s::bigint[]::oid[])
    UNION ALL
    SELECT p.proargdefaults::text FROM pg_catalog.pg_proc AS p
    WHERE p.oid = ANY (%(functions)s::bigint[]::oid[])
    UNION ALL
    SELECT k.conbin::text FROM pg_catalog.pg_constraint AS k
    WHERE k.contypid = ANY (%(types)s::bigint[]::oid[])
) AS t
CROSS JOIN LATERAL pg_catalog.regexp_matches(t.tree, ':constvalue \d+ \[ ([-\d ]+) \]', 'g') AS m (bytes)
WHERE t.tree ~ ':funcid (2077|3294) '
