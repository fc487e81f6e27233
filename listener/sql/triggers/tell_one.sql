-- The same, where there is one at most: a fragment.
  -- Outside of the block that catches errors: in it, each NOTIFY would keep 8 kB of the session's
  -- memory until the transaction ends. So nothing but NOTIFY may be called here.
  IF v_told IS NOT NULL THEN
    PERFORM pg_catalog.pg_notify({channel}, v_told);
  END IF;
