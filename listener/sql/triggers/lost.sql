-- The handler of all statement functions: a fragment, put where it says {{lost}}.
EXCEPTION WHEN transaction_rollback OR insufficient_resources OR system_error THEN
  -- Serialization failures, deadlocks, full disks and i/o errors (classes 40, 53 and 58) would have
  -- met the user's own work as well: they pass through.
  RAISE;
WHEN OTHERS THEN
  -- The statement of the user must not fail because of us, but neither may its change be forgotten:
  -- record that everything is to be compared.
  v_told := NULL;
  v_chunks := NULL;
  BEGIN
    INSERT INTO {schema}.journal (updated_at, watch, kind, reason)
    VALUES ({now}, {watch}, 'reconcile', concat(SQLSTATE, ' ', SQLERRM));
  EXCEPTION WHEN OTHERS THEN
    -- Into the server's log: the application's client hears nothing of us.
    RAISE LOG 'listener: a change of % is not recorded: %', {watch}, SQLERRM;
    -- The journal is locked, or not ours any more: the audit sees this moment, and compares.
    BEGIN
      PERFORM setval({count}, {moment});
    EXCEPTION WHEN OTHERS THEN
      RAISE LOG 'listener: nor is it counted: %', SQLERRM;
    END;
  END;
  BEGIN
    IF {silent} THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      IF {allowed} THEN
        v_told := {reconcile};
      END IF;
    ELSE
      INSERT INTO {schema}.journal (updated_at, watch, kind, keys, reason)
      VALUES ({now}, {watch}, 'keys', '[]', 'unheard');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'listener: a change of % is not notified: %', {watch}, SQLERRM;
  END;
