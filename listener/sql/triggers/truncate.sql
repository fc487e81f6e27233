-- {event} of {table}: there are no keys to tell, so everything is to be compared.
DECLARE
  v_told text;
  v_chunks text[];
BEGIN
  BEGIN
    INSERT INTO {schema}.journal (updated_at, watch, kind, reason)
    VALUES ({now}, {watch}, 'reconcile', 'TRUNCATE');
    IF {silent} THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      IF NOT {allowed} THEN
        RAISE insufficient_privilege USING MESSAGE = 'permission denied for function pg_notify';
      END IF;
      v_told := {reconcile};
    ELSE
      INSERT INTO {schema}.journal (updated_at, watch, kind, keys, reason)
      VALUES ({now}, {watch}, 'keys', '[]', 'unheard');
    END IF;{lost}
  END;{tell_one}
  RETURN NULL;
END
