-- {event} of {table}: rings the bell. The stamp says all else, and is found without it.
DECLARE
  v_told pg_catalog.text;
BEGIN
  BEGIN
    -- Without an id nothing was changed.
    IF pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL THEN{ring}
    END IF;
  EXCEPTION WHEN OTHERS THEN
    NULL; -- the next tick finds what was stamped
  END;{tell_one}
  RETURN NULL;
END
