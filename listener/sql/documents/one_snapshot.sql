-- One snapshot a statement, for volatile functions inside of it, too: what they saw was logged before.
SELECT pg_catalog.set_config('default_transaction_isolation', 'repeatable read', false)
