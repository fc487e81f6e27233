-- The OLD key of one watch, if it moved: a fragment.
    IF {present} AND NOT coalesce({same}, false) THEN
      INSERT INTO {schema}.journal (updated_at, watch, kind, keys)
      VALUES ({now}, {watch}, 'keys', {keys});
    END IF;
