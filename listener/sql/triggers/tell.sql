-- Sends what is to be told: a fragment.
  -- Outside of the block that catches errors: in it, each NOTIFY would keep 8 kB of the session's
  -- memory until the transaction ends. So nothing but NOTIFY may be called here.
  IF v_chunks IS NOT NULL THEN
    FOREACH v_told IN ARRAY v_chunks LOOP
      PERFORM pg_catalog.pg_notify({channel}, v_told);
    END LOOP;
  ELSIF v_told IS NOT NULL THEN
    PERFORM pg_catalog.pg_notify({channel}, v_told);
  END IF;
