-- One document for each site: what lies there.
SELECT
    site.id,
    json_build_object('label', site.label, 'items', stored.items, 'amount', stored.amount) AS document
FROM stock.site AS site
CROSS JOIN LATERAL (
    SELECT count(*) AS items, coalesce(sum(moved.amount), 0) AS amount
    FROM stock.item AS i
    CROSS JOIN LATERAL (
        SELECT sum(m.amount) AS amount FROM stock.movement AS m
        WHERE m.code = i.code AND m.no = i.no
    ) AS moved
    WHERE i.site = site.id
) AS stored
WHERE site.id = ANY(%(ids)s)
