-- The items of these tags.
SELECT tag.item_id AS id FROM stall.tag AS tag WHERE tag.id = ANY(%(keys)s)
