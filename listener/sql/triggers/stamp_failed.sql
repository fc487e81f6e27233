-- A column is gone: the trigger that journals moved keys notes it, where there is one.
  BEGIN
    PERFORM pg_catalog.set_config({flag}, 'yes', true);
  EXCEPTION WHEN OTHERS THEN
    NULL;
  END;
