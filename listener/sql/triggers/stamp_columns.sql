-- Stamps a row of {table} if a listed column changed: first the transaction's id, then the clock.
BEGIN
  IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
    -- Compared byte by byte: 1.0 and 1.00 differ, and json has no equality of its own. The stamp of
    -- an unchanged row stays, whatever the application wrote: an older one would hide a change.
    BEGIN
      IF NOT pg_catalog.record_image_ne(ROW({old}), ROW({new})) THEN
        NEW.{column} := OLD.{column};
        RETURN NEW;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      NULL; -- a listed column is gone or is another one: then every row counts as changed
    END;
  END IF;
  NEW.{column} := {now};
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  RETURN NEW;
END
