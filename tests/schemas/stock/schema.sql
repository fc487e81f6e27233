-- A stock: bigint keys up to both ends, a composite key of text and integer, partitions, a parent
-- that is mapped through two tables; no column that says when a row changed.

CREATE SCHEMA stock;

CREATE TABLE stock.site (
    id    bigint PRIMARY KEY,
    label text NOT NULL
);

CREATE TABLE stock.supplier (
    nick  varchar(40) PRIMARY KEY,
    title text NOT NULL
);

CREATE TABLE stock.item (
    code text NOT NULL,
    no   integer NOT NULL,
    site bigint REFERENCES stock.site ON UPDATE CASCADE ON DELETE SET NULL,
    name text NOT NULL,
    note text, -- reaches no document
    PRIMARY KEY (code, no)
);
CREATE INDEX ON stock.item (site);

CREATE TABLE stock.supply (
    code text NOT NULL,
    no   integer NOT NULL,
    nick varchar(40) NOT NULL REFERENCES stock.supplier ON UPDATE CASCADE ON DELETE CASCADE,
    PRIMARY KEY (code, no, nick),
    FOREIGN KEY (code, no) REFERENCES stock.item ON UPDATE CASCADE ON DELETE CASCADE
);
CREATE INDEX ON stock.supply (nick);

CREATE TABLE stock.movement (
    id     bigint NOT NULL,
    code   text NOT NULL,
    no     integer NOT NULL,
    amount integer NOT NULL,
    PRIMARY KEY (id),
    FOREIGN KEY (code, no) REFERENCES stock.item ON UPDATE CASCADE ON DELETE CASCADE
) PARTITION BY RANGE (id);
CREATE TABLE stock.movement_low PARTITION OF stock.movement FOR VALUES FROM (MINVALUE) TO (0);
CREATE TABLE stock.movement_high PARTITION OF stock.movement FOR VALUES FROM (0) TO (MAXVALUE);
CREATE INDEX ON stock.movement (code, no);

INSERT INTO stock.site SELECT n, 'Site ' || n FROM generate_series(1, 16) AS n;
INSERT INTO stock.supplier SELECT 'supplier ' || n, 'Supplier ' || n FROM generate_series(1, 16) AS n;
INSERT INTO stock.item SELECT 'lasting', n, n % 16 + 1, 'Item ' || n FROM generate_series(1, 48) AS n;
INSERT INTO stock.supply
SELECT 'lasting', n, 'supplier ' || (n * 7 + k) % 16 + 1 FROM generate_series(1, 48) AS n, generate_series(0, 1) AS k;
INSERT INTO stock.movement SELECT n * s, 'lasting', n, n % 10 FROM generate_series(1, 48) AS n, (VALUES (1), (-1)) AS v (s);
