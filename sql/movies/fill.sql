-- Makes the rows of schema content from pg_temp.film_line. Ids: README.md says how they are made.

CREATE TEMP TABLE film_new AS
SELECT
    pg_temp.uuid5(
        'ba837f68-63a3-5ed0-867b-dbcce3600124', 'film:' || line || ':' || (film ->> 'title')
    ) AS id,
    film ->> 'title' AS title,
    make_date((film ->> 'year')::int, 1, 1) AS creation_date,
    film -> 'genres' AS genres,
    film -> 'cast' AS actors
FROM pg_temp.film_line;

CREATE TEMP TABLE genre_new AS
SELECT pg_temp.uuid5('ba837f68-63a3-5ed0-867b-dbcce3600124', 'genre:' || name) AS id, name
FROM (SELECT DISTINCT json_array_elements_text(genres) AS name FROM pg_temp.film_new) AS names;

CREATE TEMP TABLE person_new AS
SELECT pg_temp.uuid5('ba837f68-63a3-5ed0-867b-dbcce3600124', 'person:' || name) AS id, name
FROM (SELECT DISTINCT json_array_elements_text(actors) AS name FROM pg_temp.film_new) AS names;

INSERT INTO content.film_work (id, title, description, creation_date, type)
SELECT id, title, '', creation_date, 'movie' FROM pg_temp.film_new;

INSERT INTO content.genre (id, name)
SELECT id, name FROM pg_temp.genre_new;

INSERT INTO content.person (id, full_name)
SELECT id, name FROM pg_temp.person_new;

-- Some casts name a person twice: one link is enough.
INSERT INTO content.genre_film_work (id, film_work_id, genre_id)
SELECT md5(film.id || ' ' || genre.id)::uuid, film.id, genre.id
FROM (SELECT DISTINCT id, json_array_elements_text(genres) AS name FROM pg_temp.film_new) AS film
JOIN pg_temp.genre_new AS genre USING (name);

INSERT INTO content.person_film_work (id, film_work_id, person_id, role)
SELECT md5(film.id || ' ' || person.id || ' actor')::uuid, film.id, person.id, 'actor'
FROM (SELECT DISTINCT id, json_array_elements_text(actors) AS name FROM pg_temp.film_new) AS film
JOIN pg_temp.person_new AS person USING (name);

DROP TABLE pg_temp.film_line, pg_temp.film_new, pg_temp.genre_new, pg_temp.person_new;

-- The planner should know at once how large the tables are.
ANALYZE content.film_work, content.genre, content.person,
    content.genre_film_work, content.person_film_work;
