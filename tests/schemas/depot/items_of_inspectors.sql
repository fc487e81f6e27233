-- Which items does an inspector touch? Two hops, from the referencing column on: the inspector's
-- own row may be gone.
SELECT json_build_array(item."Region", item."Sku") AS id
FROM "Depot"."Inspection" AS i
JOIN "Depot"."Batch" AS b ON b."No" = i."Batch"
JOIN "Depot"."Stock Item" AS item ON item."Region" = b."Region" AND item."Sku" = b."Sku"
WHERE i."Inspector" = ANY(%(keys)s)
