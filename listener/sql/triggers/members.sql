-- A table with its partitions and inheritance children, all the way down, the root first. A partition
-- whose DETACH CONCURRENTLY was cut short is none: PostgreSQL clones no trigger onto it any more.
WITH RECURSIVE tree AS (
    SELECT %(oid)s::pg_catalog.oid AS oid, 0 AS depth
    UNION
    SELECT i.inhrelid, t.depth + 1
    FROM tree AS t
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = t.oid
        AND (pg_catalog.to_jsonb(i) ->> 'inhdetachpending') IS DISTINCT FROM 'true'
), once AS (
    SELECT oid, min(depth) AS depth FROM tree GROUP BY oid
)
SELECT c.oid, n.nspname, c.relname, c.relkind::pg_catalog.text,
       o.depth > 0 AND c.relispartition,
       CASE WHEN c.relispartition AND o.depth > 0
            THEN (SELECT i.inhparent FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = c.oid)
       END,
       c.relpersistence::pg_catalog.text,
       EXISTS (SELECT FROM pg_catalog.pg_subscription_rel AS s WHERE s.srrelid = c.oid)
FROM once AS o
JOIN pg_catalog.pg_class AS c ON c.oid = o.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY o.depth, n.nspname, c.relname
