-- A row goes through without its stamp, or its OLD key could not be kept: a fragment.
  DECLARE
    v_reason pg_catalog.text;
    v_counted bigint;
    v_moment bigint;
  BEGIN
    v_reason := pg_catalog.concat(SQLSTATE, ' ', SQLERRM, ' (transaction ', pg_catalog.pg_current_xact_id(), ')');
    -- Once, and not for each row: unless others wrote a hundred rows since.
    INSERT INTO {schema}.journal (updated_at, watch, kind, reason)
    SELECT {now}, w.watch, 'reconcile', v_reason
    FROM pg_catalog.unnest({watches}::pg_catalog.text[]) AS w (watch)
    WHERE NOT EXISTS (
      SELECT FROM (
        SELECT j.watch, j.reason FROM {schema}.journal AS j
        WHERE j.updated_at OPERATOR(pg_catalog.>=) pg_catalog.statement_timestamp()
        ORDER BY j.updated_at DESC LIMIT 100
      ) AS j
      WHERE j.watch OPERATOR(pg_catalog.=) w.watch AND j.reason OPERATOR(pg_catalog.=) v_reason
    );
  EXCEPTION WHEN OTHERS THEN
    -- The audit sees this moment, and compares. The server's log is told once a second: the
    -- application's client hears nothing of us. Nothing but what counts may be in the way of that.
    BEGIN
      v_counted := pg_catalog.pg_sequence_last_value({count}::pg_catalog.regclass);
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
    BEGIN
      v_moment := {moment};
      PERFORM pg_catalog.setval({count}::pg_catalog.regclass, v_moment);
    EXCEPTION WHEN OTHERS THEN
      RAISE LOG 'listener: nor is it counted: %', SQLERRM;
    END;
    BEGIN
      IF v_counted OPERATOR(pg_catalog.>) (v_moment OPERATOR(pg_catalog.-) 1000000) THEN
        v_reason := NULL;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
    IF v_reason IS NOT NULL THEN
      RAISE LOG 'listener: a change of % is not recorded: %; %', {table_text}, v_reason, SQLERRM;
    END IF;
  END;
