-- Which items does a site touch?
SELECT json_build_array(item.code, item.no) AS id
FROM stock.item AS item WHERE item.site = ANY(%(keys)s)
