-- Whether every transaction with an id up to L is finished: then all stamps before t are visible.
SELECT pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()) > %(xid)s::text::pg_catalog.xid8
