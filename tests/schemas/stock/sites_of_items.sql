-- Which sites do movements of an item touch? That the item moves is told by its own table.
SELECT item.site AS id
FROM unnest(%(keys_1)s, %(keys_2)s) AS moved (code, no)
JOIN stock.item AS item ON item.code = moved.code AND item.no = moved.no
WHERE item.site IS NOT NULL
