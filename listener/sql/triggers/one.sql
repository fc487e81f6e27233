-- The short way of a statement that changed one row: a fragment, where the journal does not take every key.
  SELECT c.same, c.keys INTO v_same, v_keys FROM ({only}) AS c;
  IF v_same AND v_keys IS NULL OR NOT FOUND THEN
    RETURN NULL;
  END IF;
