-- A thing as it is: nothing is cast, so that the index meets what the row holds.
SELECT
    thing.id,
    json_build_object(
        'raw', thing.raw,
        'free', thing.free,
        'number', thing.number,
        'amount', thing.amount,
        'moment', thing.moment,
        'tag', thing.tag,
        'labels', ARRAY(
            SELECT label.shown FROM odd.label AS label
            WHERE label.thing = thing.id ORDER BY label.name COLLATE "C"
        )
    ) AS document
FROM odd.thing AS thing
WHERE thing.id = ANY(%(ids)s)
