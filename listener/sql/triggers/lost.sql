-- The handler of all statement functions: a fragment, put where it says {{lost}}.
EXCEPTION WHEN OTHERS THEN
  -- The statement of the user must not fail because of us, but neither may its change be forgotten:
  -- record that everything is to be compared. Serialization failures, deadlocks, full disks and
  -- i/o errors would have met the user's own work as well: they pass through.
  IF left(SQLSTATE, 2) IN ('40', '53', '58') THEN
    RAISE;
  END IF;
  BEGIN
    INSERT INTO {schema}.journal (updated_at, watch, kind, reason)
    VALUES ({now}, {watch}, 'reconcile', SQLSTATE || ' ' || SQLERRM);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not recorded: %', {watch}, SQLERRM;
    -- The journal is locked, or not ours any more: the audit sees this count, and compares.
    BEGIN
      PERFORM nextval({count});
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END;
  BEGIN
    IF {notify} = 'off' THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_notify({channel}, {reconcile});
    ELSE
      INSERT INTO {schema}.journal (updated_at, watch, kind, keys, reason)
      VALUES ({now}, {watch}, 'keys', '[]', 'unheard');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not notified: %', {watch}, SQLERRM;
  END;
  RETURN NULL;
