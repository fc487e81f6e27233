-- Of these relations those that this role does not own, and the role that does.
SELECT n.nspname || '.' || c.relname, pg_catalog.pg_get_userbyid(c.relowner)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY (%(oids)s) AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE')
ORDER BY 1
