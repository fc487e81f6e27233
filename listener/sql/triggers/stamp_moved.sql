-- Where nobody is told of an UPDATE: whether a key moved, for the trigger that journals it.
  IF NOT coalesce({same}, TG_OP OPERATOR(pg_catalog.=) 'INSERT') THEN
    PERFORM pg_catalog.set_config({flag}, 'yes', true);
  END IF;
