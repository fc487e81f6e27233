-- Stamps a row of {table}: first the transaction's id, then the clock.
-- All names are qualified: it has no search_path of its own, which would cost more than all the rest.
BEGIN
  -- A stamp taken before the id is assigned can be older than the watermark when it is committed.
  -- If the column is renamed, the row goes through as it is: the block costs 0.2 us a row.
  NEW.{column} := {now};{moved}
  RETURN NEW;
EXCEPTION WHEN transaction_rollback OR insufficient_resources OR system_error THEN
  RAISE; -- it would have met the application as well
WHEN OTHERS THEN{failed}
  RETURN NEW;
END
