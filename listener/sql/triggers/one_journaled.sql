-- The same, where the journal takes every key and NOTIFY too: in the query that finds the key.
  INSERT INTO {schema}.journal (updated_at, watch, kind, keys, reason)
  -- First the transaction's id, then the clock: what the watermark's proof needs.
  SELECT {now}, {watch}, 'keys', c.keys, CASE WHEN {unheard} THEN 'unheard' END
  FROM ({only}) AS c WHERE c.same AND c.keys IS NOT NULL
  RETURNING true, keys, reason IS NOT NULL INTO v_same, v_keys, v_unheard;
  IF NOT FOUND THEN
    SELECT c.same INTO v_same FROM ({only}) AS c;
    IF v_same OR NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
