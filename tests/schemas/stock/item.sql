-- One document for each item: where it is, how many, who supplies it.
SELECT
    json_build_array(item.code, item.no) AS id,
    json_build_object(
        'code', item.code, 'no', item.no, 'name', item.name,
        'site', item.site, 'site_label', site.label,
        'amount', moved.amount, 'movements', moved.n, 'suppliers', supplied.titles
    ) AS document
FROM unnest(%(ids_1)s, %(ids_2)s) AS wanted (code, no)
JOIN stock.item AS item ON item.code = wanted.code AND item.no = wanted.no
LEFT JOIN stock.site AS site ON site.id = item.site
CROSS JOIN LATERAL (
    SELECT coalesce(sum(m.amount), 0) AS amount, count(*) AS n
    FROM stock.movement AS m WHERE m.code = item.code AND m.no = item.no
) AS moved
CROSS JOIN LATERAL (
    SELECT coalesce(json_agg(s.title ORDER BY s.nick COLLATE "C"), '[]') AS titles
    FROM stock.supply AS link JOIN stock.supplier AS s ON s.nick = link.nick
    WHERE link.code = item.code AND link.no = item.no
) AS supplied
