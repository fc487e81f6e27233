-- One document for each item: its region, price, batches, and who inspected them.
SELECT
    json_build_array(item."Region", item."Sku") AS id,
    json_build_object(
        'region', item."Region",
        'region_label', region."Label",
        'sku', item."Sku",
        'name', item."Name",
        'attributes', item."Attributes",
        'price', price."Price",
        'quantity', batch.quantity,
        'inspections', batch.inspections
    ) AS document
FROM unnest(%(ids_1)s, %(ids_2)s) AS wanted (region, sku)
JOIN "Depot"."Stock Item" AS item ON item."Region" = wanted.region AND item."Sku" = wanted.sku
JOIN "Depot"."Region" AS region ON region."Code" = item."Region"
LEFT JOIN "Depot"."Price.List" AS price
    ON price."Region" = item."Region" AND price."Sku" = item."Sku"
CROSS JOIN LATERAL (
    SELECT
        coalesce(sum(b."Quantity"), 0) AS quantity,
        coalesce(
            json_agg(seen.verdict ORDER BY b."No") FILTER (WHERE seen.verdict IS NOT NULL), '[]'
        ) AS inspections
    FROM "Depot"."Batch" AS b
    LEFT JOIN LATERAL (
        SELECT string_agg(
            who."Full Name" || ': ' || i."Verdict", '; ' ORDER BY who."Nick" COLLATE "C"
        ) AS verdict
        FROM "Depot"."Inspection" AS i
        JOIN "Depot"."Inspector" AS who ON who."Nick" = i."Inspector"
        WHERE i."Batch" = b."No"
    ) AS seen ON true
    WHERE b."Region" = item."Region" AND b."Sku" = item."Sku"
) AS batch
