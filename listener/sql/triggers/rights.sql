-- What owners of our functions lack: role, what it may not do, and the GRANT that mends it. A superuser
-- must have each right without being one: that he was none for a minute leaves no trace. Nor does it,
-- before version 16, that a role did not inherit for a minute: there it must have its rights itself.
WITH owner AS (
    SELECT DISTINCT r.oid, r.rolname, r.rolsuper
    FROM pg_catalog.pg_proc AS f
    JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
    JOIN pg_catalog.pg_roles AS r ON r.oid = f.proowner
    WHERE n.nspname = %(schema)s
      AND pg_catalog.starts_with(f.proname::pg_catalog.text, 'listener_')
), wanted AS (
    SELECT o.rolname, o.rolsuper, o.oid AS role, 'EXECUTE' AS right_, p.oid::pg_catalog.regprocedure::text AS name,
           'FUNCTION ' || p.oid::pg_catalog.regprocedure AS object,
           pg_catalog.has_function_privilege(o.oid, p.oid, 'EXECUTE') AS has,
           coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner)) AS acl
    FROM owner AS o, pg_catalog.unnest(%(functions)s::text[]) AS w (name)
    JOIN pg_catalog.pg_proc AS p ON p.oid = pg_catalog.to_regprocedure(w.name)
    UNION ALL
    SELECT o.rolname, o.rolsuper, o.oid, 'USAGE', n.nspname,
           pg_catalog.format('SCHEMA %%I', n.nspname),
           pg_catalog.has_schema_privilege(o.oid, n.oid, 'USAGE'),
           coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))
    FROM owner AS o
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = %(schema)s
    UNION ALL
    SELECT o.rolname, o.rolsuper, o.oid, v.right_, n.nspname || '.' || c.relname,
           pg_catalog.format('%%s %%I.%%I', v.kind, n.nspname, c.relname),
           CASE WHEN c.relkind = 'S' THEN pg_catalog.has_sequence_privilege(o.oid, c.oid, v.right_)
                ELSE pg_catalog.has_table_privilege(o.oid, c.oid, v.right_) END,
           coalesce(c.relacl, pg_catalog.acldefault(
               CASE WHEN c.relkind = 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
    FROM owner AS o
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = %(schema)s
    JOIN (VALUES ('journal', 'TABLE', 'INSERT'), ('journal', 'TABLE', 'SELECT'),
                 ('lost', 'SEQUENCE', 'UPDATE'), ('lost', 'SEQUENCE', 'SELECT'))
        AS v (relname, kind, right_) ON true
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = v.relname
)
SELECT w.rolname, w.right_ || ' on ' || w.name,
       pg_catalog.format('GRANT %%s ON %%s TO %%I', w.right_, w.object, w.rolname)
FROM wanted AS w
WHERE NOT CASE WHEN w.rolsuper
                 OR pg_catalog.current_setting('server_version_num')::pg_catalog.int4 < 160000
               THEN EXISTS (SELECT FROM pg_catalog.aclexplode(w.acl) AS a
                            WHERE a.grantee IN (0, w.role) AND a.privilege_type = w.right_)
               ELSE w.has END
ORDER BY 1, 2
