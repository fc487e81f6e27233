-- All ids, by pages.
SELECT id FROM ledger.account
WHERE %(after)s IS NULL OR id > %(after)s
ORDER BY id
LIMIT %(limit)s
