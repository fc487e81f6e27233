-- {event} of {table}: there are no keys to tell, so everything is to be compared.
BEGIN
  INSERT INTO {schema}.journal (updated_at, watch, kind, reason)
  VALUES ({now}, {watch}, 'reconcile', 'TRUNCATE');
  IF {notify} = 'off' THEN
    NULL;
  ELSIF pg_notification_queue_usage() < 0.5 THEN
    PERFORM pg_notify({channel}, {reconcile});
  ELSE
    INSERT INTO {schema}.journal (updated_at, watch, kind, keys, reason)
    VALUES ({now}, {watch}, 'keys', '[]', 'unheard');
  END IF;
  RETURN NULL;{lost}
END
