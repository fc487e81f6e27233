-- A depot: shares nothing with the movies. Mixed-case names, one with a space and one with a dot;
-- smallint, integer, varchar, text and composite keys; no column that says when a row changed.

CREATE SCHEMA "Depot";

CREATE TABLE "Depot"."Region" (
    "Code" smallint PRIMARY KEY,
    "Label" text NOT NULL
);

CREATE TABLE "Depot"."Stock Item" (
    "Region" smallint NOT NULL REFERENCES "Depot"."Region" ON UPDATE CASCADE ON DELETE CASCADE,
    "Sku" varchar(60) NOT NULL,
    "Name" text NOT NULL,
    "Attributes" json,
    "Last Seen" timestamptz,
    PRIMARY KEY ("Region", "Sku")
);

-- Of two columns that lead to an item, the batch may have none: a batch without a place.
CREATE TABLE "Depot"."Batch" (
    "No" integer PRIMARY KEY,
    "Region" smallint,
    "Sku" varchar(60),
    "Quantity" integer NOT NULL,
    FOREIGN KEY ("Region", "Sku") REFERENCES "Depot"."Stock Item"
        ON UPDATE CASCADE ON DELETE SET NULL
);

CREATE TABLE "Depot"."Inspector" (
    "Nick" text PRIMARY KEY,
    "Full Name" text NOT NULL
);

CREATE TABLE "Depot"."Inspection" (
    "Batch" integer NOT NULL REFERENCES "Depot"."Batch" ON DELETE CASCADE,
    "Inspector" text NOT NULL REFERENCES "Depot"."Inspector" ON UPDATE CASCADE ON DELETE CASCADE,
    "Verdict" text NOT NULL,
    PRIMARY KEY ("Batch", "Inspector")
);

CREATE TABLE "Depot"."Price.List" (
    "Region" smallint NOT NULL,
    "Sku" varchar(60) NOT NULL,
    "Price" numeric(12, 2) NOT NULL,
    PRIMARY KEY ("Region", "Sku")
);

INSERT INTO "Depot"."Region" SELECT n, 'Region ' || n FROM generate_series(-3, 8) AS n;

INSERT INTO "Depot"."Stock Item" ("Region", "Sku", "Name", "Attributes")
SELECT r."Code", s.sku, s.sku || ' of ' || r."Code", E'{"size":\n\r 1}'
FROM "Depot"."Region" AS r,
    (VALUES ('plain'), ('with space'), (' edge '), ('it''s "quoted"'), ('comma,brace{}'),
            (E'back\\slash'), (E'new\nline'), ('Ключ ключа'), ('日本'), (''), ('["1","a"]'),
            ('NULL'), ('%s %(ids)s'), ('emoji 🎬'), (repeat('ж', 60))) AS s (sku);

INSERT INTO "Depot"."Inspector" ("Nick", "Full Name")
VALUES ('O''Neill', 'One'), ('"q"', 'Two'), ('Анна Б.', 'Three'), ('', 'Four'), (E'tab\there', 'Five');

INSERT INTO "Depot"."Batch" ("No", "Region", "Sku", "Quantity")
SELECT row_number() OVER (ORDER BY i."Region", i."Sku", n), i."Region", i."Sku", n * 10
FROM "Depot"."Stock Item" AS i, generate_series(1, 2) AS n;

INSERT INTO "Depot"."Inspection" ("Batch", "Inspector", "Verdict")
SELECT b."No", i."Nick", CASE WHEN b."No" % 3 = 0 THEN 'bad' ELSE 'good' END
FROM "Depot"."Batch" AS b
JOIN (SELECT "Nick", row_number() OVER (ORDER BY "Nick" COLLATE "C") AS n FROM "Depot"."Inspector") AS i
    ON (b."No" + i.n) % 3 = 0;

INSERT INTO "Depot"."Price.List" SELECT "Region", "Sku", 9.50 FROM "Depot"."Stock Item";
