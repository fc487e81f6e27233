-- One document for each region: how much of what it has. A percent sign is SQL: 5 % 3.
SELECT
    region."Code" AS id,
    json_build_object(
        'label', region."Label",
        'parity', region."Code" % 2,
        'items', (SELECT count(*) FROM "Depot"."Stock Item" AS i WHERE i."Region" = region."Code"),
        'quantity', (
            SELECT coalesce(sum(b."Quantity"), 0) FROM "Depot"."Batch" AS b
            WHERE b."Region" = region."Code"
        )
    ) AS document
FROM "Depot"."Region" AS region
WHERE region."Code" = ANY(%(ids)s)
