-- The stamp of each row has looked whether its key moved, and whether its columns are there: a fragment.
  IF current_setting({flag}, true) IS DISTINCT FROM 'yes' THEN
    RETURN NULL;
  END IF;
