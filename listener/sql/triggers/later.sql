-- Other BEFORE ROW triggers that fire after our stamp: those whose name sorts after it.
SELECT n.nspname || '.' || c.relname, g.tgname
FROM pg_catalog.pg_trigger AS g
JOIN pg_catalog.pg_class AS c ON c.oid = g.tgrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE g.tgrelid = ANY (%(oids)s)
  AND g.tgtype & 3 = 3 AND g.tgtype & 20 <> 0 AND g.tgenabled <> 'D'
  AND g.tgname > %(name)s::pg_catalog.name
  AND NOT pg_catalog.starts_with(g.tgname::pg_catalog.text, '~listener_stamp_')
ORDER BY 1, 2
