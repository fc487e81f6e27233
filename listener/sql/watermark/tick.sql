-- What a tick asks, of one snapshot: whether every transaction with an id up to L is finished (then all stamps
-- before t are visible), whether triggers kept a NOTIFY to themselves since then because the queue of NOTIFY
-- was filling up, and how full that is, from 0 to 1: the sessions of the whole cluster share it.
SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()) > %(xid)s::text::pg_catalog.xid8,
       EXISTS (SELECT FROM {journal}
               WHERE updated_at >= %(since)s::timestamptz AND reason = 'unheard'),
       pg_catalog.pg_notification_queue_usage()
