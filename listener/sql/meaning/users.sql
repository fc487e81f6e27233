-- As whom these foreign servers are asked: what we may see of it, and no password, which is changed often
-- and changes no row.
SELECT m.srvname::text,
       pg_catalog.string_agg(pg_catalog.concat_ws(' ', m.umid, m.umuser,
           (SELECT pg_catalog.string_agg(one, ',' ORDER BY one) FROM pg_catalog.unnest(m.umoptions) AS one
            WHERE one NOT LIKE 'password=%%')), ';' ORDER BY m.umid)
FROM pg_catalog.pg_user_mappings AS m
WHERE m.srvid = ANY (%(servers)s::bigint[]::oid[])
GROUP BY m.srvname
