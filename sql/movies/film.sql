-- The document query of the index "movies": one JSON document for each film id that exists.
--
-- Contract: takes %(ids)s, an array of ids; returns id and document. An id without a row is not
-- returned, and the listener deletes its document. Nothing in a document depends on chance: arrays
-- have an order of their own (by bytes, which no locale changes), so the same rows give the same
-- document.

SELECT
    film.id,
    json_build_object(
        'id', film.id,
        'title', film.title,
        'description', film.description,
        'rating', film.rating,
        'type', film.type,
        'creation_date', film.creation_date,
        'genres', genre.names,
        'actors', person.actors,
        'writers', person.writers,
        'directors', person.directors,
        'actors_names', person.actors_names,
        'writers_names', person.writers_names,
        'directors_names', person.directors_names,
        'updated_at', film.updated_at
    ) AS document
FROM content.film_work AS film
CROSS JOIN LATERAL (
    SELECT coalesce(json_agg(g.name ORDER BY g.name COLLATE "C", g.id), '[]') AS names
    FROM content.genre_film_work AS link
    JOIN content.genre AS g ON g.id = link.genre_id
    WHERE link.film_work_id = film.id
) AS genre
CROSS JOIN LATERAL (
    -- Nested objects for exact questions, names beside them for counting: Kibana does not
    -- aggregate nested fields.
    SELECT
        coalesce(json_agg(p.item) FILTER (WHERE p.role = 'actor'), '[]') AS actors,
        coalesce(json_agg(p.item) FILTER (WHERE p.role = 'writer'), '[]') AS writers,
        coalesce(json_agg(p.item) FILTER (WHERE p.role = 'director'), '[]') AS directors,
        coalesce(json_agg(p.name) FILTER (WHERE p.role = 'actor'), '[]') AS actors_names,
        coalesce(json_agg(p.name) FILTER (WHERE p.role = 'writer'), '[]') AS writers_names,
        coalesce(json_agg(p.name) FILTER (WHERE p.role = 'director'), '[]') AS directors_names
    FROM (
        -- A person appears once in each role, however often the link stands there.
        SELECT
            link.role,
            x.full_name AS name,
            json_build_object('id', x.id, 'name', x.full_name) AS item
        FROM content.person_film_work AS link
        JOIN content.person AS x ON x.id = link.person_id
        WHERE link.film_work_id = film.id
        GROUP BY x.full_name, x.id, link.role
        ORDER BY x.full_name COLLATE "C", x.id
    ) AS p
) AS person
WHERE film.id = ANY(%(ids)s)
