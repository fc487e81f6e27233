-- Cards and tickets: a document whose query reads views and functions, and one whose key is an
-- integer until somebody makes it a bigint. The faults of a run replace, retype and rename these.

CREATE SCHEMA cards;

CREATE TABLE cards.card (
    id    integer PRIMARY KEY,
    label text NOT NULL,
    worth integer NOT NULL
);

CREATE TABLE cards.ticket (
    id    integer PRIMARY KEY,
    label text NOT NULL
);

-- What the query reads is two steps away from the table, and so is what it computes.
CREATE VIEW cards.plain AS SELECT id, label, worth, 'first'::text AS edition FROM cards.card;
CREATE VIEW cards.shown AS SELECT id, label, worth, edition FROM cards.plain WHERE worth >= 0;
CREATE FUNCTION cards.rate(integer) RETURNS integer LANGUAGE plpgsql STABLE
AS 'BEGIN RETURN $1; END';
CREATE FUNCTION cards.price(integer) RETURNS integer LANGUAGE plpgsql STABLE
AS 'BEGIN RETURN cards.rate($1); END';

-- Which bonus the query means, its role's search_path says.
CREATE SCHEMA cards_first;
CREATE SCHEMA cards_second;
CREATE FUNCTION cards_first.bonus() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION cards_second.bonus() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 2';

INSERT INTO cards.card SELECT n, 'Card ' || n, n FROM generate_series(1, 200) AS n;
INSERT INTO cards.ticket SELECT n, 'Ticket ' || n FROM generate_series(1, 100) AS n;
