-- The same, where the journal takes every key and nobody is told it: no RETURNING then.
  INSERT INTO {schema}.journal (updated_at, watch, kind, keys)
  -- First the transaction's id, then the clock: what the watermark's proof needs.
  SELECT {now}, {watch}, 'keys', c.keys
  FROM ({only}) AS c WHERE c.same AND c.keys IS NOT NULL;
  IF FOUND THEN{ring}
    EXIT record;
  END IF;
  SELECT c.same INTO v_same FROM ({only}) AS c;
  IF v_same OR NOT FOUND THEN
    RETURN NULL;
  END IF;
