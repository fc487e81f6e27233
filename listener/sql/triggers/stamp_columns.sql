-- Stamps a row of {table} if a listed column changed: first the transaction's id, then the clock.
-- All names are qualified: it has no search_path of its own, which would cost more than all the rest.
BEGIN
  IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
    -- Compared byte by byte: 1.0 and 1.00 differ, and json has no equality of its own. The stamp of
    -- an unchanged row stays, whatever the application wrote: an older one would hide a change.
    IF NOT pg_catalog.record_image_ne(ROW({old}), ROW({new})) THEN
      NEW.{column} := OLD.{column};
      RETURN NEW;
    END IF;
  END IF;
  NEW.{column} := {now};
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  -- A listed column is gone: then every row counts as changed. Or the stamp column itself is.
  BEGIN
    NEW.{column} := {now};
  EXCEPTION WHEN transaction_rollback OR insufficient_resources OR system_error THEN
    RAISE; -- it would have met the application as well
  WHEN OTHERS THEN{failed}
  END;
  RETURN NEW;
END
