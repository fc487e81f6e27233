-- Films, genres, people and their links: the tables of the movies example.
--
-- Plain tables as an application would have them. The triggers that make changes known are the
-- listener's own and are installed by it. Link tables have no updated_at: the listener polls them
-- through its journal, so both ways are shown here.

CREATE SCHEMA content;

CREATE TABLE content.film_work (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    title         text NOT NULL,
    description   text,
    creation_date date,
    rating        double precision,
    type          text NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE content.genre (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name        text NOT NULL,
    description text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE content.person (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    full_name  text NOT NULL,
    birth_date date,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE content.genre_film_work (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    film_work_id uuid NOT NULL REFERENCES content.film_work (id) ON DELETE CASCADE,
    genre_id     uuid NOT NULL REFERENCES content.genre (id) ON DELETE CASCADE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (film_work_id, genre_id)
);

-- role: 'actor', 'writer' or 'director'; the document leaves other roles out.
CREATE TABLE content.person_film_work (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    film_work_id uuid NOT NULL REFERENCES content.film_work (id) ON DELETE CASCADE,
    person_id    uuid NOT NULL REFERENCES content.person (id) ON DELETE CASCADE,
    role         text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (film_work_id, person_id, role)
);

-- From a genre or a person to its films: the mapping files and the cascades. The other direction,
-- from a film to its links, is served by the two unique constraints.
CREATE INDEX genre_film_work_genre_id_idx
    ON content.genre_film_work (genre_id, film_work_id);
CREATE INDEX person_film_work_person_id_idx
    ON content.person_film_work (person_id, film_work_id);

-- Polls page by (updated_at, id), since one statement stamps many rows with almost one time.
CREATE INDEX film_work_updated_at_idx ON content.film_work (updated_at, id);
CREATE INDEX genre_updated_at_idx ON content.genre (updated_at, id);
CREATE INDEX person_updated_at_idx ON content.person (updated_at, id);
