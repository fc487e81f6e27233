-- By what an SQL file takes different ids for one: a nondeterministic collation, or citext; else no row.
SELECT coalesce(c.collname, t.typname)::text
FROM (SELECT pg_catalog.pg_collation_for((SELECT q.id::text {query})) AS name,
             pg_catalog.pg_typeof((SELECT q.id {query})) AS type) AS id
JOIN pg_catalog.pg_type AS t ON t.oid = id.type
LEFT JOIN pg_catalog.pg_collation AS c ON c.oid = id.name::regcollation AND NOT c.collisdeterministic
WHERE c.oid IS NOT NULL OR t.typname = 'citext'
