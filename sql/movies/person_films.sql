-- Which films does a person touch? Takes %(keys)s (person ids), returns id (film ids).
-- It starts at the link and does not join the person, whose row may be gone.

SELECT DISTINCT link.film_work_id AS id
FROM content.person_film_work AS link
WHERE link.person_id = ANY(%(keys)s)
