-- The things that bear these labels.
SELECT label.thing AS id FROM odd.label AS label WHERE label.name = ANY(%(keys)s)
