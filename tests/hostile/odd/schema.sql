-- Whatever a row can hold: text keys of any content, json kept as it was written, numbers and
-- moments that JSON has no word for. Nothing here is checked by the database, as it often is.

CREATE SCHEMA odd;

CREATE TABLE odd.thing (
    id         text PRIMARY KEY,
    raw        json,
    free       json,
    number     double precision,
    amount     numeric,
    moment     timestamptz,
    tag        text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX thing_updated_at_idx ON odd.thing (updated_at, id);

-- The key of a label is any text, too, and leads to a thing.
CREATE TABLE odd.label (
    name  text PRIMARY KEY,
    thing text NOT NULL,
    shown text
);
CREATE INDEX label_thing_idx ON odd.label (thing);

CREATE TABLE odd.pair (
    high bigint NOT NULL,
    name text NOT NULL,
    low  varchar NOT NULL,
    raw  json,
    PRIMARY KEY (high, name, low)
);

INSERT INTO odd.thing (id, tag) SELECT 'thing ' || n, 'tag ' || n FROM generate_series(1, 200) AS n;
INSERT INTO odd.label (name, thing, shown)
SELECT E'label\n' || n, 'thing ' || n, 'shown ' || n FROM generate_series(1, 50) AS n;
INSERT INTO odd.pair (high, name, low)
SELECT n * 92233720368547758, 'name ' || n, 'low' FROM generate_series(-50, 50) AS n;
