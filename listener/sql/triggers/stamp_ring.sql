-- The doorbell of a polled table: a fragment.
  IF coalesce(pg_catalog.current_setting({rung}, true), '') OPERATOR(pg_catalog.<>) 'yes' THEN
    -- A transaction tries it once, and only if nobody else rings in these 50 ms: NOTIFY takes one lock
    -- of the cluster at commit. Who finds it ringing has its id already, so the polls that follow the
    -- ring wait for it. A full queue would fail the COMMIT: then the next tick finds the row.
    PERFORM pg_catalog.set_config({rung}, 'yes', true);
    IF pg_catalog.pg_try_advisory_xact_lock({bell}, {slot})
       AND pg_catalog.pg_notification_queue_usage() OPERATOR(pg_catalog.<) 0.5 THEN
      PERFORM pg_catalog.pg_notify({channel}, {sweep});
    END IF;
  END IF;
