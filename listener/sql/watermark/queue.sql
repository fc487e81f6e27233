-- How full the queue of NOTIFY is, from 0 to 1: the sessions of the whole cluster share it.
SELECT pg_catalog.pg_notification_queue_usage()
