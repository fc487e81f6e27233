-- By what an SQL file takes different ids for one: a nondeterministic collation, or citext; and whether
-- its ids are texts at all.
SELECT coalesce(c.collname, CASE WHEN t.typname = 'citext' THEN t.typname END)::text, t.typcollation <> 0
FROM (SELECT pg_catalog.pg_collation_for((SELECT q.id::text {query})) AS name,
             pg_catalog.pg_typeof((SELECT q.id {query})) AS type) AS id
JOIN pg_catalog.pg_type AS t ON t.oid = id.type
LEFT JOIN pg_catalog.pg_collation AS c ON c.oid = id.name::regcollation AND NOT c.collisdeterministic
