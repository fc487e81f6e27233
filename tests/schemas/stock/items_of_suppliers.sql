-- Which items does a supplier touch?
SELECT json_build_array(link.code, link.no) AS id
FROM stock.supply AS link WHERE link.nick = ANY(%(keys)s)
