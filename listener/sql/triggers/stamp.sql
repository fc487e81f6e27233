-- Stamps a row of {table}: first the transaction's id, then the clock.
BEGIN
  -- A stamp taken before the id is assigned can be older than the watermark when it is committed.
  -- If the column is renamed, the row goes through as it is: the block costs 0.2 us a row.
  NEW.{column} := {now};{moved}{ring}
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN{failed}
  RETURN NEW;
END
