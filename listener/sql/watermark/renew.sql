-- Leave a new nonce, the next one in this line of renewals.
UPDATE {meta} AS m
SET nonce = %s::text::uuid,
    line = %s::text::uuid,
    renewals = coalesce(m.renewals, 0) + 1,
    file = pg_catalog.pg_relation_filenode(m.tableoid::pg_catalog.regclass)
RETURNING m.renewals
