-- A ledger: bigint keys, stamps without a time zone, entries in partitions, ids from a file of
-- their own; nothing of it is notified.

CREATE SCHEMA ledger;

CREATE TABLE ledger.account (
    id bigint PRIMARY KEY,
    owner text NOT NULL,
    closed boolean NOT NULL DEFAULT false,
    changed timestamp
);

CREATE TABLE ledger.entry (
    id bigint GENERATED ALWAYS AS IDENTITY,
    account_id bigint NOT NULL REFERENCES ledger.account ON DELETE CASCADE,
    amount numeric(20, 4) NOT NULL,
    changed timestamp DEFAULT '2020-01-01',
    PRIMARY KEY (account_id, id)
) PARTITION BY RANGE (account_id);

CREATE TABLE ledger.entry_low PARTITION OF ledger.entry FOR VALUES FROM (MINVALUE) TO (1000);
CREATE TABLE ledger.entry_high PARTITION OF ledger.entry FOR VALUES FROM (1000) TO (MAXVALUE);

INSERT INTO ledger.account (id, owner, changed)
SELECT n * 13 - 650, 'Owner ' || n, '2020-01-01' FROM generate_series(1, 200) AS n;
INSERT INTO ledger.account (id, owner, changed)
VALUES (9223372036854775807, 'Most', '2020-01-01'), (-9223372036854775808, 'Least', '2020-01-01');

INSERT INTO ledger.entry (account_id, amount)
SELECT a.id, a.id % 7 + n FROM ledger.account AS a, generate_series(1, 4) AS n;
