-- An item with its labels.
SELECT
    item.id,
    json_build_object(
        'name', item.name,
        'raw', item.raw,
        'labels', ARRAY(
            SELECT tag.label FROM stall.tag AS tag
            WHERE tag.item_id::text = item.id::text ORDER BY tag.label COLLATE "C"
        )
    ) AS document
FROM stall.item AS item
WHERE item.id = ANY(%(ids)s)
