-- The doorbell: a fragment, with all names qualified, for not every function has a search_path.
      -- Only if nobody else rings in these 50 ms: NOTIFY takes one lock of the cluster at commit. Who
      -- finds it ringing has its id already, so the polls that follow the ring wait for it; it looks
      -- once more at its next change, which costs less than to note it. The moment is that of the
      -- transaction's begin, so that it asks for the same lock each time, and holds one. A full queue
      -- would fail the COMMIT: the next tick finds the change.
      IF pg_catalog.pg_try_advisory_xact_lock({bell}, {slot})
        AND pg_catalog.pg_notification_queue_usage() OPERATOR(pg_catalog.<) 0.5
        AND {allowed} THEN
        v_told := {sweep};
      END IF;
