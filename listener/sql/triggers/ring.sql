-- The doorbell: a fragment, with all names qualified, for the stamp function has no search_path.
    IF coalesce(pg_catalog.current_setting({rung}, true), '') OPERATOR(pg_catalog.<>) 'yes' THEN
      -- Only if nobody else rings in these 50 ms: NOTIFY takes one lock of the cluster at commit. Who
      -- finds it ringing has its id already, so the polls that follow the ring wait for it; it looks
      -- once more at its next change, which costs less than to note it. A transaction rings once, so
      -- that it holds one lock. A full queue would fail the COMMIT: the next tick finds the change.
      IF pg_catalog.pg_try_advisory_xact_lock({bell}, {slot}) THEN
        PERFORM pg_catalog.set_config({rung}, 'yes', true);
        IF pg_catalog.pg_notification_queue_usage() OPERATOR(pg_catalog.<) 0.5 THEN
          PERFORM pg_catalog.pg_notify({channel}, {sweep});
        END IF;
      END IF;
    END IF;
