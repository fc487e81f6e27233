-- Which films does a genre touch? Takes %(keys)s (genre ids), returns id (film ids).
-- It starts at the link and does not join the genre, whose row may be gone.

SELECT DISTINCT link.film_work_id AS id
FROM content.genre_film_work AS link
WHERE link.genre_id = ANY(%(keys)s)
