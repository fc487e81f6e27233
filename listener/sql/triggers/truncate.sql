-- {event} of {table}: there are no keys to tell, so everything is to be compared.
BEGIN
  INSERT INTO {schema}.journal (updated_at, watch, kind, reason)
  VALUES ({now}, {watch}, 'reconcile', 'TRUNCATE');
  IF {notify} <> 'off' THEN
    PERFORM pg_notify({channel}, {reconcile});
  END IF;
  RETURN NULL;
{lost}
END
