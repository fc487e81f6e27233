-- Integer keys in all places that a key has: stamped, journaled, mapped, composite. They are altered by the tests.

CREATE SCHEMA stall;

CREATE TABLE stall.item (
    id         integer PRIMARY KEY,
    name       text,
    raw        text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX item_updated_at_idx ON stall.item (updated_at, id);

-- The key of a tag is mapped to an item.
CREATE TABLE stall.tag (
    id      integer PRIMARY KEY,
    item_id integer,
    label   text
);
CREATE INDEX tag_item_idx ON stall.tag (item_id);

CREATE TABLE stall.line (
    bill integer,
    line smallint,
    text text,
    PRIMARY KEY (bill, line)
);

INSERT INTO stall.item (id, name) SELECT n, 'item ' || n FROM generate_series(1, 60) AS n;
INSERT INTO stall.tag (id, item_id, label) SELECT n, n % 30 + 1, 'tag ' || n FROM generate_series(1, 60) AS n;
INSERT INTO stall.line (bill, line, text) SELECT n % 9, n, 'line ' || n FROM generate_series(1, 40) AS n;
