-- Which items does a region touch?
SELECT json_build_array(item."Region", item."Sku") AS id
FROM "Depot"."Stock Item" AS item
WHERE item."Region" = ANY(%(keys)s)
