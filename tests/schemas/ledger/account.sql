-- One document for each account that is not closed: a soft delete is a filter of the query.
SELECT
    account.id,
    json_build_object('owner', account.owner, 'balance', entry.balance, 'entries', entry.n)
        AS document
FROM ledger.account AS account
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount), 0)::text AS balance, count(*) AS n
    FROM ledger.entry WHERE account_id = account.id
) AS entry
WHERE account.id = ANY(%(ids)s) AND NOT account.closed
