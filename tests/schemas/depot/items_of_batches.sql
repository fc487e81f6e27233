-- Which items does an inspection touch? It is keyed by its batch.
SELECT json_build_array(b."Region", b."Sku") AS id
FROM "Depot"."Batch" AS b
WHERE b."No" = ANY(%(keys)s) AND b."Region" IS NOT NULL AND b."Sku" IS NOT NULL
