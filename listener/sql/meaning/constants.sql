-- The constants of these objects that may hold a name: type, bytes, and text where it is one already. Of
-- views, generated columns, functions whose body is no text, defaults of arguments, policies and
-- domains they stand in a tree. (To have the text of a view would take locks.)
WITH trees (tree) AS MATERIALIZED (
    SELECT w.ev_action::text
    FROM pg_catalog.pg_rewrite AS w
    WHERE w.ev_class = ANY (%(classes)s::bigint[]::oid[]) AND w.ev_type = '1'
    UNION ALL
    SELECT f.adbin::text
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_attrdef AS f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    WHERE a.attrelid = ANY (%(classes)s::bigint[]::oid[]) AND a.attgenerated <> ''
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
)
SELECT m.parts[1]::bigint, m.parts[2], NULL
FROM trees AS t
CROSS JOIN LATERAL pg_catalog.regexp_matches(
    t.tree, ':consttype (\d+) [^{}\[]*:constbyval false [^{}\[]*:constvalue \d+ \[ ([-\d ]+) \]', 'g') AS m (parts)
UNION ALL
SELECT NULL, NULL, pg_catalog.concat_ws(' ', a.agginitval, a.aggminitval) FROM pg_catalog.pg_aggregate AS a
WHERE a.aggfnoid = ANY (%(functions)s::bigint[]::oid[]) AND (a.agginitval <> '' OR a.aggminitval <> '')
UNION ALL
SELECT NULL, NULL, e.enumlabel FROM pg_catalog.pg_enum AS e
WHERE e.enumtypid = ANY (%(types)s::bigint[]::oid[])
UNION ALL
-- a built-in function that runs a text or makes a name of it, or a cast that does
SELECT NULL, NULL, 'EXECUTE'
WHERE EXISTS (
    SELECT FROM trees AS t
    WHERE t.tree ~ (
        SELECT pg_catalog.concat(':(?:funcid|resulttype) (?:24|2202|2205|2206|', pg_catalog.string_agg(p.oid::text, '|'), ') ')
        FROM pg_catalog.pg_proc AS p
        WHERE p.proname IN ('regclass', 'to_regclass', 'to_regproc', 'to_regprocedure', 'to_regtype', 'ts_stat',
                            'ts_rewrite', 'query_to_xml', 'query_to_xmlschema', 'query_to_xml_and_xmlschema',
                            'schema_to_xml', 'schema_to_xml_and_xmlschema', 'pg_get_viewdef', 'pg_get_functiondef')
          AND p.pronamespace = 'pg_catalog'::regnamespace))
