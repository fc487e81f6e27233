-- Three hundred films for the tables of sql/movies/schema.sql: what the real data lacks (writers,
-- directors, ratings, a person in two roles of one film) is here. Ids can be computed:
-- md5('film 7')::uuid, md5('genre 3')::uuid, md5('person 40')::uuid.

INSERT INTO content.film_work (id, title, description, creation_date, rating, type, created_at, updated_at)
SELECT md5('film ' || n)::uuid, 'Film ' || n, 'About ' || n, date '1950-01-01' + n * 30,
       CASE WHEN n % 3 > 0 THEN (n % 100) / 10.0 END,
       CASE WHEN n % 7 = 0 THEN 'tv_show' ELSE 'movie' END,
       '2020-01-01 00:00:00+00', '2020-01-01 00:00:00+00'
FROM generate_series(1, 300) AS n;

INSERT INTO content.genre (id, name, created_at, updated_at)
SELECT md5('genre ' || n)::uuid, 'Genre ' || n, '2020-01-01 00:00:00+00', '2020-01-01 00:00:00+00'
FROM generate_series(1, 12) AS n;

INSERT INTO content.person (id, full_name, created_at, updated_at)
SELECT md5('person ' || n)::uuid, 'Person ' || n, '2020-01-01 00:00:00+00', '2020-01-01 00:00:00+00'
FROM generate_series(1, 120) AS n;

-- Films 291 to 300 have no links: their deletion is told by no other table.
INSERT INTO content.genre_film_work (id, film_work_id, genre_id)
SELECT md5('genre link ' || n || ' ' || k)::uuid, md5('film ' || n)::uuid,
       md5('genre ' || (n + k * 5) % 12 + 1)::uuid
FROM generate_series(1, 290) AS n, generate_series(0, 1) AS k;

-- Person n % 120 + 1 both writes and directs film n.
INSERT INTO content.person_film_work (id, film_work_id, person_id, role)
SELECT md5('person link ' || n || ' ' || k)::uuid, md5('film ' || n)::uuid,
       md5('person ' || (n + CASE k WHEN 4 THEN 0 WHEN 3 THEN 0 ELSE k * 11 END) % 120 + 1)::uuid,
       CASE k WHEN 4 THEN 'writer' WHEN 3 THEN 'director' ELSE 'actor' END
FROM generate_series(1, 290) AS n, generate_series(1, 4) AS k;
