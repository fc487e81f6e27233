-- A tag names its item.
SELECT id FROM unnest(%(keys)s) AS named (id)
