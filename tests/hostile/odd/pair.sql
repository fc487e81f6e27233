-- A pair's key has a number and two texts: its id is their JSON array.
SELECT
    json_build_array(pair.high, pair.name, pair.low) AS id,
    json_build_object('high', pair.high, 'name', pair.name, 'low', pair.low, 'raw', pair.raw)
        AS document
FROM unnest(%(ids_1)s, %(ids_2)s, %(ids_3)s) AS wanted (high, name, low)
JOIN odd.pair AS pair USING (high, name, low)
