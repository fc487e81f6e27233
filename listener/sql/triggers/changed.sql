-- {event} of {table}: the keys into the journal, and out by NOTIFY.
DECLARE
  v_same boolean;
  v_keys text;
  -- A full queue fails the COMMIT: rather let the daemon's polls find it. They ask for this reason.
  v_unheard boolean;
  v_told text;
  v_chunks text[];
BEGIN
  <<record>>
  BEGIN
    -- Most statements change one row. Theirs is a short way: one query, since each costs about as
    -- much as all the rest; and the variables of the longer way wait until they are needed.{one}
    DECLARE
      v_room CONSTANT integer := {room};
      v_count bigint := 0;
      v_largest integer;
      v_moved boolean;
      v_sweep boolean := false;
    BEGIN
      IF v_unheard IS NULL THEN -- else it is known: the journal has it
        v_unheard := {unheard};
      END IF;
      IF v_same THEN
        IF v_unheard AND NOT {everything} THEN
          -- First the transaction's id, then the clock: what the watermark's proof needs.
          INSERT INTO {schema}.journal (updated_at, watch, kind, keys, reason)
          VALUES ({now}, {watch}, 'keys', v_keys, 'unheard');
        END IF;
        v_count := 1;
        v_sweep := octet_length(v_keys) > v_room;
      ELSE
        v_moved := {moved};
        IF {quiet} AND NOT v_moved THEN
          RETURN NULL;
        END IF;
        -- One statement, and no loop over a query: its cursor would count in the names that
        -- PostgreSQL gives to the application's own.
        WITH chunk AS MATERIALIZED (
          SELECT '[' || string_agg(p.piece, ',') || ']' AS keys, count(*) AS n, p.journaled
          FROM (
            SELECT k.piece, k.journaled, {chunk} AS chunk
            FROM (SELECT {piece} AS piece, c.journaled FROM ({changed}) AS c) AS k
          ) AS p
          GROUP BY p.journaled, p.chunk
        ), kept AS (
          INSERT INTO {schema}.journal (updated_at, watch, kind, keys, reason)
          SELECT {now}, {watch}, 'keys', c.keys, CASE WHEN v_unheard THEN 'unheard' END
          FROM chunk AS c WHERE c.journaled OR v_unheard
        )
        SELECT coalesce(sum(c.n), 0), coalesce(max(octet_length(c.keys)), 0), {told}
        INTO v_count, v_largest, v_chunks FROM chunk AS c;
        v_sweep := v_count > {most} OR v_largest > v_room;
      END IF;
      IF v_unheard THEN
        v_chunks := NULL;
      ELSIF {rows} AND v_count > 0 THEN
        IF NOT {allowed} THEN
          RAISE insufficient_privilege USING MESSAGE = 'permission denied for function pg_notify';
        END IF;
        IF v_sweep THEN
          v_told := {sweep};
          v_chunks := NULL;
        ELSIF v_same THEN
          v_told := {head} || v_keys || '}}';
        END IF;
      ELSIF v_count > 0 THEN{ring}
      END IF;
    END;{lost}
  END record;{tell}
  RETURN NULL;
END
