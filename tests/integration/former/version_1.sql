-- What the release with version 1 of our schema made for film (stamped) and link (journal).
-- our own schema, listener
--   because there is no schema listener
BEGIN;
SET LOCAL lock_timeout = '2s';
CREATE SCHEMA "listener";
-- Our own schema, version 1: meta (one row), the journal, parked documents.
CREATE TABLE IF NOT EXISTS "listener".meta (
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton),
    schema_version integer NOT NULL,
    nonce uuid NOT NULL,
    pruned_below timestamptz NOT NULL
);
-- Every writer pays for its one row here: one index, and no CHECK, whose text PostgreSQL parses at
-- each statement; who reads a kind that is neither 'keys' nor 'reconcile' reconciles.
-- The key is there for publications of all tables too: without one, they would refuse to prune.
CREATE TABLE IF NOT EXISTS "listener".journal (
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 100),
    updated_at timestamptz NOT NULL,
    watch text NOT NULL,
    kind text NOT NULL,
    keys text,
    reason text,
    CONSTRAINT journal_updated_at_id PRIMARY KEY (updated_at, id)
) WITH (toast_tuple_target = 8160);
CREATE TABLE IF NOT EXISTS "listener".parked (
    document text NOT NULL,
    id text NOT NULL,
    reason text NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (document, id)
);
-- Counts what even the journal could not take: no lock and no right on it stands in the way.
CREATE SEQUENCE IF NOT EXISTS "listener".lost;
INSERT INTO "listener".meta (schema_version, nonce, pruned_below)
VALUES (1, pg_catalog.gen_random_uuid(), pg_catalog.clock_timestamp())
ON CONFLICT (singleton) DO NOTHING;
COMMIT;

-- triggers of public.film
--   because public.film: function listener.listener_928a6d896a4c_stamp is missing
--   because public.film: function listener.listener_63e25e0986e1_insert is missing
--   because public.film: function listener.listener_63e25e0986e1_update is missing
--   because public.film: function listener.listener_63e25e0986e1_delete is missing
--   because public.film: function listener.listener_63e25e0986e1_truncate is missing
--   because public.film: trigger ~listener_stamp_928a6d896a4c is missing
--   because public.film: trigger listener_63e25e0986e1_insert is missing
--   because public.film: trigger listener_63e25e0986e1_update is missing
--   because public.film: trigger listener_63e25e0986e1_delete is missing
--   because public.film: trigger listener_63e25e0986e1_truncate is missing
BEGIN;
SET LOCAL lock_timeout = '2s';
CREATE OR REPLACE FUNCTION "listener"."listener_928a6d896a4c_stamp"() RETURNS trigger
LANGUAGE plpgsql AS $listener$-- Written by listener, do not edit (2cc96deb048b)
-- Stamps a row of public.film: first the transaction's id, then the clock.
BEGIN
  -- A stamp taken before the id is assigned can be older than the watermark when it is committed.
  -- If the column is renamed, the row goes through as it is: the block costs 0.2 us a row.
  NEW."updated_at" := CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END;
  RETURN NEW;
EXCEPTION WHEN OTHERS THEN
  RETURN NEW;
END
$listener$;
REVOKE ALL ON FUNCTION "listener"."listener_928a6d896a4c_stamp"() FROM PUBLIC;
CREATE OR REPLACE FUNCTION "listener"."listener_63e25e0986e1_insert"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $listener$-- Written by listener, do not edit (aee04852c048)
-- INSERT of public.film(id): the keys into the journal, and out by NOTIFY.
DECLARE
  v_same boolean;
  v_keys text;
  -- A full queue fails the COMMIT: rather let the daemon's polls find it. They ask for this reason.
  v_unheard boolean;
BEGIN
  BEGIN
    -- Most statements change one row. Theirs is a short way: one query, since each costs about as
    -- much as all the rest; and the variables of the longer way wait until they are needed.
  SELECT c.same, c.keys INTO v_same, v_keys FROM (SELECT NOT EXISTS (SELECT FROM new_rows OFFSET 1) AND c.k1 IS NOT DISTINCT FROM c.k1 AS same, CASE WHEN c.k1 IS NOT NULL THEN '[' || '"' || c.k1::text || '"' || ']' END AS keys FROM (SELECT r."id" AS k1, r."updated_at" AS stamp FROM new_rows AS r) AS c LIMIT 1) AS c;
  IF v_same AND v_keys IS NULL OR NOT FOUND THEN
    RETURN NULL;
  END IF;
    DECLARE
      v_notify CONSTANT text := 'rows';
      v_room CONSTANT integer := 7965;
      v_at timestamptz;
      v_chunk record;
      v_count bigint := 0;
      v_moved boolean;
      v_sweep boolean := false;
      v_payloads text[];
    BEGIN
      IF v_unheard IS NULL THEN -- else it is known: the journal has it
        v_unheard := pg_notification_queue_usage() >= 0.5;
      END IF;
      IF v_same THEN
        IF v_unheard AND NOT false THEN
          -- First the transaction's id, then the clock: what the watermark's proof needs.
          INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
          VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'keys', v_keys, 'unheard');
        END IF;
        v_count := 1;
        v_sweep := octet_length(v_keys) > v_room;
      ELSE
        v_moved := true;
        IF false AND NOT v_moved THEN
          RETURN NULL;
        END IF;
        FOR v_chunk IN
          SELECT '[' || string_agg(p.piece, ',') || ']' AS keys, count(*) AS n, p.journaled
          FROM (
            SELECT k.piece, k.journaled, row_number() OVER () / 568 AS chunk
            FROM (SELECT '"' || c.k1::text || '"' AS piece, c.journaled FROM (SELECT s.k1, false AS journaled FROM (SELECT r."id" AS k1, r."updated_at" AS stamp FROM new_rows AS r) AS s WHERE s.k1 IS NOT NULL LIMIT 10001) AS c) AS k
          ) AS p
          GROUP BY p.journaled, p.chunk
        LOOP
          IF v_chunk.journaled OR v_unheard THEN
            IF v_at IS NULL THEN
              v_at := CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END;
            END IF;
            INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
            VALUES (v_at, 'public.film(id)', 'keys', v_chunk.keys, CASE WHEN v_unheard THEN 'unheard' END);
          END IF;
          v_count := v_count + v_chunk.n;
          IF v_notify = 'rows' AND NOT v_sweep THEN
            IF v_count <= 10000 AND octet_length(v_chunk.keys) <= v_room THEN
              v_payloads := v_payloads || v_chunk.keys;
            ELSE
              v_sweep := true;
            END IF;
          END IF;
        END LOOP;
      END IF;
      IF v_unheard THEN
        NULL;
      ELSIF v_count > 0 AND v_notify = 'rows' THEN
        IF v_sweep THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","sweep":true}');
        ELSIF v_same THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","k":' || v_keys || '}');
        ELSE
          PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","k":' || p.keys || '}') FROM unnest(v_payloads) AS p (keys);
        END IF;
      ELSIF v_count > 0 THEN
NULL;
      END IF;
    END;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- The statement of the user must not fail because of us, but neither may its change be forgotten:
  -- record that everything is to be compared. Serialization failures, deadlocks, full disks and
  -- i/o errors would have met the user's own work as well: they pass through.
  IF left(SQLSTATE, 2) IN ('40', '53', '58') THEN
    RAISE;
  END IF;
  BEGIN
    INSERT INTO "listener".journal (updated_at, watch, kind, reason)
    VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'reconcile', SQLSTATE || ' ' || SQLERRM);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not recorded: %', 'public.film(id)', SQLERRM;
    -- The journal is locked, or not ours any more: the audit sees this count, and compares.
    BEGIN
      PERFORM nextval('"listener"."lost"');
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END;
  BEGIN
    IF 'rows' = 'off' THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","reconcile":true}');
    ELSE
      INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
      VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'keys', '[]', 'unheard');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not notified: %', 'public.film(id)', SQLERRM;
  END;
  RETURN NULL;
  END;
END
$listener$;
REVOKE ALL ON FUNCTION "listener"."listener_63e25e0986e1_insert"() FROM PUBLIC;
CREATE OR REPLACE FUNCTION "listener"."listener_63e25e0986e1_update"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $listener$-- Written by listener, do not edit (ed52bae7ef3e)
-- UPDATE of public.film(id): the keys into the journal, and out by NOTIFY.
DECLARE
  v_same boolean;
  v_keys text;
  -- A full queue fails the COMMIT: rather let the daemon's polls find it. They ask for this reason.
  v_unheard boolean;
BEGIN
  BEGIN
    -- Most statements change one row. Theirs is a short way: one query, since each costs about as
    -- much as all the rest; and the variables of the longer way wait until they are needed.
  SELECT c.same, c.keys INTO v_same, v_keys FROM (SELECT NOT EXISTS (SELECT FROM new_rows OFFSET 1) AND o.k1 IS NOT DISTINCT FROM c.k1 AS same, CASE WHEN c.k1 IS NOT NULL THEN '[' || '"' || c.k1::text || '"' || ']' END AS keys FROM (SELECT r."id" AS k1, r."updated_at" AS stamp FROM new_rows AS r) AS c, (SELECT r."id" AS k1, r."updated_at" AS stamp FROM old_rows AS r) AS o LIMIT 1) AS c;
  IF v_same AND v_keys IS NULL OR NOT FOUND THEN
    RETURN NULL;
  END IF;
    DECLARE
      v_notify CONSTANT text := 'rows';
      v_room CONSTANT integer := 7965;
      v_at timestamptz;
      v_chunk record;
      v_count bigint := 0;
      v_moved boolean;
      v_sweep boolean := false;
      v_payloads text[];
    BEGIN
      IF v_unheard IS NULL THEN -- else it is known: the journal has it
        v_unheard := pg_notification_queue_usage() >= 0.5;
      END IF;
      IF v_same THEN
        IF v_unheard AND NOT false THEN
          -- First the transaction's id, then the clock: what the watermark's proof needs.
          INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
          VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'keys', v_keys, 'unheard');
        END IF;
        v_count := 1;
        v_sweep := octet_length(v_keys) > v_room;
      ELSE
        v_moved := (SELECT o.keys IS DISTINCT FROM n.keys OR cardinality(n.keys) > 1000000 FROM (SELECT array_agg(s.k1) AS keys FROM (SELECT r."id" AS k1, r."updated_at" AS stamp FROM old_rows AS r LIMIT 1000001) AS s) AS o, (SELECT array_agg(s.k1) AS keys FROM (SELECT r."id" AS k1, r."updated_at" AS stamp FROM new_rows AS r LIMIT 1000001) AS s) AS n);
        IF false AND NOT v_moved THEN
          RETURN NULL;
        END IF;
        FOR v_chunk IN
          SELECT '[' || string_agg(p.piece, ',') || ']' AS keys, count(*) AS n, p.journaled
          FROM (
            SELECT k.piece, k.journaled, row_number() OVER () / 568 AS chunk
            FROM (SELECT '"' || c.k1::text || '"' AS piece, c.journaled FROM ((SELECT s.k1, true AS journaled FROM (SELECT s.k1 FROM (SELECT r."id" AS k1, r."updated_at" AS stamp FROM old_rows AS r) AS s EXCEPT SELECT s.k1 FROM (SELECT r."id" AS k1, r."updated_at" AS stamp FROM new_rows AS r) AS s) AS s WHERE s.k1 IS NOT NULL AND v_moved) UNION ALL (SELECT s.k1, false AS journaled FROM (SELECT r."id" AS k1, r."updated_at" AS stamp FROM new_rows AS r) AS s WHERE s.k1 IS NOT NULL LIMIT 10001)) AS c) AS k
          ) AS p
          GROUP BY p.journaled, p.chunk
        LOOP
          IF v_chunk.journaled OR v_unheard THEN
            IF v_at IS NULL THEN
              v_at := CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END;
            END IF;
            INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
            VALUES (v_at, 'public.film(id)', 'keys', v_chunk.keys, CASE WHEN v_unheard THEN 'unheard' END);
          END IF;
          v_count := v_count + v_chunk.n;
          IF v_notify = 'rows' AND NOT v_sweep THEN
            IF v_count <= 10000 AND octet_length(v_chunk.keys) <= v_room THEN
              v_payloads := v_payloads || v_chunk.keys;
            ELSE
              v_sweep := true;
            END IF;
          END IF;
        END LOOP;
      END IF;
      IF v_unheard THEN
        NULL;
      ELSIF v_count > 0 AND v_notify = 'rows' THEN
        IF v_sweep THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","sweep":true}');
        ELSIF v_same THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","k":' || v_keys || '}');
        ELSE
          PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","k":' || p.keys || '}') FROM unnest(v_payloads) AS p (keys);
        END IF;
      ELSIF v_count > 0 THEN
NULL;
      END IF;
    END;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- The statement of the user must not fail because of us, but neither may its change be forgotten:
  -- record that everything is to be compared. Serialization failures, deadlocks, full disks and
  -- i/o errors would have met the user's own work as well: they pass through.
  IF left(SQLSTATE, 2) IN ('40', '53', '58') THEN
    RAISE;
  END IF;
  BEGIN
    INSERT INTO "listener".journal (updated_at, watch, kind, reason)
    VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'reconcile', SQLSTATE || ' ' || SQLERRM);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not recorded: %', 'public.film(id)', SQLERRM;
    -- The journal is locked, or not ours any more: the audit sees this count, and compares.
    BEGIN
      PERFORM nextval('"listener"."lost"');
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END;
  BEGIN
    IF 'rows' = 'off' THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","reconcile":true}');
    ELSE
      INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
      VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'keys', '[]', 'unheard');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not notified: %', 'public.film(id)', SQLERRM;
  END;
  RETURN NULL;
  END;
END
$listener$;
REVOKE ALL ON FUNCTION "listener"."listener_63e25e0986e1_update"() FROM PUBLIC;
CREATE OR REPLACE FUNCTION "listener"."listener_63e25e0986e1_delete"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $listener$-- Written by listener, do not edit (d95769d8c342)
-- DELETE of public.film(id): the keys into the journal, and out by NOTIFY.
DECLARE
  v_same boolean;
  v_keys text;
  -- A full queue fails the COMMIT: rather let the daemon's polls find it. They ask for this reason.
  v_unheard boolean;
BEGIN
  BEGIN
    -- Most statements change one row. Theirs is a short way: one query, since each costs about as
    -- much as all the rest; and the variables of the longer way wait until they are needed.
  INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
  -- First the transaction's id, then the clock: what the watermark's proof needs.
  SELECT CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'keys', c.keys, CASE WHEN pg_notification_queue_usage() >= 0.5 THEN 'unheard' END
  FROM (SELECT NOT EXISTS (SELECT FROM old_rows OFFSET 1) AND c.k1 IS NOT DISTINCT FROM c.k1 AS same, CASE WHEN c.k1 IS NOT NULL THEN '[' || '"' || c.k1::text || '"' || ']' END AS keys FROM (SELECT r."id" AS k1 FROM old_rows AS r) AS c LIMIT 1) AS c WHERE c.same AND c.keys IS NOT NULL
  RETURNING true, keys, reason IS NOT NULL INTO v_same, v_keys, v_unheard;
  IF NOT FOUND THEN
    SELECT c.same INTO v_same FROM (SELECT NOT EXISTS (SELECT FROM old_rows OFFSET 1) AND c.k1 IS NOT DISTINCT FROM c.k1 AS same, CASE WHEN c.k1 IS NOT NULL THEN '[' || '"' || c.k1::text || '"' || ']' END AS keys FROM (SELECT r."id" AS k1 FROM old_rows AS r) AS c LIMIT 1) AS c;
    IF v_same OR NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
    DECLARE
      v_notify CONSTANT text := 'rows';
      v_room CONSTANT integer := 7965;
      v_at timestamptz;
      v_chunk record;
      v_count bigint := 0;
      v_moved boolean;
      v_sweep boolean := false;
      v_payloads text[];
    BEGIN
      IF v_unheard IS NULL THEN -- else it is known: the journal has it
        v_unheard := pg_notification_queue_usage() >= 0.5;
      END IF;
      IF v_same THEN
        IF v_unheard AND NOT true THEN
          -- First the transaction's id, then the clock: what the watermark's proof needs.
          INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
          VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'keys', v_keys, 'unheard');
        END IF;
        v_count := 1;
        v_sweep := octet_length(v_keys) > v_room;
      ELSE
        v_moved := true;
        IF false AND NOT v_moved THEN
          RETURN NULL;
        END IF;
        FOR v_chunk IN
          SELECT '[' || string_agg(p.piece, ',') || ']' AS keys, count(*) AS n, p.journaled
          FROM (
            SELECT k.piece, k.journaled, row_number() OVER () / 568 AS chunk
            FROM (SELECT '"' || c.k1::text || '"' AS piece, c.journaled FROM (SELECT s.k1, true AS journaled FROM (SELECT r."id" AS k1 FROM old_rows AS r) AS s WHERE s.k1 IS NOT NULL) AS c) AS k
          ) AS p
          GROUP BY p.journaled, p.chunk
        LOOP
          IF v_chunk.journaled OR v_unheard THEN
            IF v_at IS NULL THEN
              v_at := CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END;
            END IF;
            INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
            VALUES (v_at, 'public.film(id)', 'keys', v_chunk.keys, CASE WHEN v_unheard THEN 'unheard' END);
          END IF;
          v_count := v_count + v_chunk.n;
          IF v_notify = 'rows' AND NOT v_sweep THEN
            IF v_count <= 10000 AND octet_length(v_chunk.keys) <= v_room THEN
              v_payloads := v_payloads || v_chunk.keys;
            ELSE
              v_sweep := true;
            END IF;
          END IF;
        END LOOP;
      END IF;
      IF v_unheard THEN
        NULL;
      ELSIF v_count > 0 AND v_notify = 'rows' THEN
        IF v_sweep THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","sweep":true}');
        ELSIF v_same THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","k":' || v_keys || '}');
        ELSE
          PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","k":' || p.keys || '}') FROM unnest(v_payloads) AS p (keys);
        END IF;
      ELSIF v_count > 0 THEN
NULL;
      END IF;
    END;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- The statement of the user must not fail because of us, but neither may its change be forgotten:
  -- record that everything is to be compared. Serialization failures, deadlocks, full disks and
  -- i/o errors would have met the user's own work as well: they pass through.
  IF left(SQLSTATE, 2) IN ('40', '53', '58') THEN
    RAISE;
  END IF;
  BEGIN
    INSERT INTO "listener".journal (updated_at, watch, kind, reason)
    VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'reconcile', SQLSTATE || ' ' || SQLERRM);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not recorded: %', 'public.film(id)', SQLERRM;
    -- The journal is locked, or not ours any more: the audit sees this count, and compares.
    BEGIN
      PERFORM nextval('"listener"."lost"');
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END;
  BEGIN
    IF 'rows' = 'off' THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","reconcile":true}');
    ELSE
      INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
      VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'keys', '[]', 'unheard');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not notified: %', 'public.film(id)', SQLERRM;
  END;
  RETURN NULL;
  END;
END
$listener$;
REVOKE ALL ON FUNCTION "listener"."listener_63e25e0986e1_delete"() FROM PUBLIC;
CREATE OR REPLACE FUNCTION "listener"."listener_63e25e0986e1_truncate"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $listener$-- Written by listener, do not edit (70979ca179c1)
-- TRUNCATE of public.film(id): there are no keys to tell, so everything is to be compared.
BEGIN
  INSERT INTO "listener".journal (updated_at, watch, kind, reason)
  VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'reconcile', 'TRUNCATE');
  IF 'rows' = 'off' THEN
    NULL;
  ELSIF pg_notification_queue_usage() < 0.5 THEN
    PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","reconcile":true}');
  ELSE
    INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
    VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'keys', '[]', 'unheard');
  END IF;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- The statement of the user must not fail because of us, but neither may its change be forgotten:
  -- record that everything is to be compared. Serialization failures, deadlocks, full disks and
  -- i/o errors would have met the user's own work as well: they pass through.
  IF left(SQLSTATE, 2) IN ('40', '53', '58') THEN
    RAISE;
  END IF;
  BEGIN
    INSERT INTO "listener".journal (updated_at, watch, kind, reason)
    VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'reconcile', SQLSTATE || ' ' || SQLERRM);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not recorded: %', 'public.film(id)', SQLERRM;
    -- The journal is locked, or not ours any more: the audit sees this count, and compares.
    BEGIN
      PERFORM nextval('"listener"."lost"');
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END;
  BEGIN
    IF 'rows' = 'off' THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_notify('listener', '{"v":1,"w":"public.film(id)","reconcile":true}');
    ELSE
      INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
      VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.film(id)', 'keys', '[]', 'unheard');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not notified: %', 'public.film(id)', SQLERRM;
  END;
  RETURN NULL;
END
$listener$;
REVOKE ALL ON FUNCTION "listener"."listener_63e25e0986e1_truncate"() FROM PUBLIC;
CREATE TRIGGER "~listener_stamp_928a6d896a4c" BEFORE INSERT OR UPDATE ON "public"."film"
FOR EACH ROW
WHEN ((NEW."updated_at" IS NULL) IS NOT NULL)
EXECUTE FUNCTION "listener"."listener_928a6d896a4c_stamp"();
ALTER TABLE "public"."film" ENABLE ALWAYS TRIGGER "~listener_stamp_928a6d896a4c";
CREATE TRIGGER "listener_63e25e0986e1_insert" AFTER INSERT ON "public"."film"
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT
EXECUTE FUNCTION "listener"."listener_63e25e0986e1_insert"();
ALTER TABLE ONLY "public"."film" ENABLE ALWAYS TRIGGER "listener_63e25e0986e1_insert";
CREATE TRIGGER "listener_63e25e0986e1_update" AFTER UPDATE ON "public"."film"
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT
EXECUTE FUNCTION "listener"."listener_63e25e0986e1_update"();
ALTER TABLE ONLY "public"."film" ENABLE ALWAYS TRIGGER "listener_63e25e0986e1_update";
CREATE TRIGGER "listener_63e25e0986e1_delete" AFTER DELETE ON "public"."film"
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT
EXECUTE FUNCTION "listener"."listener_63e25e0986e1_delete"();
ALTER TABLE ONLY "public"."film" ENABLE ALWAYS TRIGGER "listener_63e25e0986e1_delete";
CREATE TRIGGER "listener_63e25e0986e1_truncate" AFTER TRUNCATE ON "public"."film"
FOR EACH STATEMENT
EXECUTE FUNCTION "listener"."listener_63e25e0986e1_truncate"();
ALTER TABLE ONLY "public"."film" ENABLE ALWAYS TRIGGER "listener_63e25e0986e1_truncate";
UPDATE "listener".meta SET pruned_below = pg_catalog.clock_timestamp();
COMMIT;

-- triggers of public.link
--   because public.link: function listener.listener_b6a1ddad03d4_insert is missing
--   because public.link: function listener.listener_b6a1ddad03d4_update is missing
--   because public.link: function listener.listener_b6a1ddad03d4_delete is missing
--   because public.link: function listener.listener_b6a1ddad03d4_truncate is missing
--   because public.link: trigger listener_b6a1ddad03d4_insert is missing
--   because public.link: trigger listener_b6a1ddad03d4_update is missing
--   because public.link: trigger listener_b6a1ddad03d4_delete is missing
--   because public.link: trigger listener_b6a1ddad03d4_truncate is missing
BEGIN;
SET LOCAL lock_timeout = '2s';
CREATE OR REPLACE FUNCTION "listener"."listener_b6a1ddad03d4_insert"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $listener$-- Written by listener, do not edit (01c23edd68f5)
-- INSERT of public.link(film): the keys into the journal, and out by NOTIFY.
DECLARE
  v_same boolean;
  v_keys text;
  -- A full queue fails the COMMIT: rather let the daemon's polls find it. They ask for this reason.
  v_unheard boolean;
BEGIN
  BEGIN
    -- Most statements change one row. Theirs is a short way: one query, since each costs about as
    -- much as all the rest; and the variables of the longer way wait until they are needed.
  INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
  -- First the transaction's id, then the clock: what the watermark's proof needs.
  SELECT CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', c.keys, CASE WHEN pg_notification_queue_usage() >= 0.5 THEN 'unheard' END
  FROM (SELECT NOT EXISTS (SELECT FROM new_rows OFFSET 1) AND c.k1 IS NOT DISTINCT FROM c.k1 AS same, CASE WHEN c.k1 IS NOT NULL THEN '[' || '"' || c.k1::text || '"' || ']' END AS keys FROM (SELECT r."film" AS k1 FROM new_rows AS r) AS c LIMIT 1) AS c WHERE c.same AND c.keys IS NOT NULL
  RETURNING true, keys, reason IS NOT NULL INTO v_same, v_keys, v_unheard;
  IF NOT FOUND THEN
    SELECT c.same INTO v_same FROM (SELECT NOT EXISTS (SELECT FROM new_rows OFFSET 1) AND c.k1 IS NOT DISTINCT FROM c.k1 AS same, CASE WHEN c.k1 IS NOT NULL THEN '[' || '"' || c.k1::text || '"' || ']' END AS keys FROM (SELECT r."film" AS k1 FROM new_rows AS r) AS c LIMIT 1) AS c;
    IF v_same OR NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
    DECLARE
      v_notify CONSTANT text := 'rows';
      v_room CONSTANT integer := 7963;
      v_at timestamptz;
      v_chunk record;
      v_count bigint := 0;
      v_moved boolean;
      v_sweep boolean := false;
      v_payloads text[];
    BEGIN
      IF v_unheard IS NULL THEN -- else it is known: the journal has it
        v_unheard := pg_notification_queue_usage() >= 0.5;
      END IF;
      IF v_same THEN
        IF v_unheard AND NOT true THEN
          -- First the transaction's id, then the clock: what the watermark's proof needs.
          INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
          VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', v_keys, 'unheard');
        END IF;
        v_count := 1;
        v_sweep := octet_length(v_keys) > v_room;
      ELSE
        v_moved := true;
        IF false AND NOT v_moved THEN
          RETURN NULL;
        END IF;
        FOR v_chunk IN
          SELECT '[' || string_agg(p.piece, ',') || ']' AS keys, count(*) AS n, p.journaled
          FROM (
            SELECT k.piece, k.journaled, row_number() OVER () / 568 AS chunk
            FROM (SELECT '"' || c.k1::text || '"' AS piece, c.journaled FROM (SELECT s.k1, true AS journaled FROM (SELECT r."film" AS k1 FROM new_rows AS r) AS s WHERE s.k1 IS NOT NULL GROUP BY s.k1) AS c) AS k
          ) AS p
          GROUP BY p.journaled, p.chunk
        LOOP
          IF v_chunk.journaled OR v_unheard THEN
            IF v_at IS NULL THEN
              v_at := CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END;
            END IF;
            INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
            VALUES (v_at, 'public.link(film)', 'keys', v_chunk.keys, CASE WHEN v_unheard THEN 'unheard' END);
          END IF;
          v_count := v_count + v_chunk.n;
          IF v_notify = 'rows' AND NOT v_sweep THEN
            IF v_count <= 10000 AND octet_length(v_chunk.keys) <= v_room THEN
              v_payloads := v_payloads || v_chunk.keys;
            ELSE
              v_sweep := true;
            END IF;
          END IF;
        END LOOP;
      END IF;
      IF v_unheard THEN
        NULL;
      ELSIF v_count > 0 AND v_notify = 'rows' THEN
        IF v_sweep THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","sweep":true}');
        ELSIF v_same THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","k":' || v_keys || '}');
        ELSE
          PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","k":' || p.keys || '}') FROM unnest(v_payloads) AS p (keys);
        END IF;
      ELSIF v_count > 0 THEN
NULL;
      END IF;
    END;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- The statement of the user must not fail because of us, but neither may its change be forgotten:
  -- record that everything is to be compared. Serialization failures, deadlocks, full disks and
  -- i/o errors would have met the user's own work as well: they pass through.
  IF left(SQLSTATE, 2) IN ('40', '53', '58') THEN
    RAISE;
  END IF;
  BEGIN
    INSERT INTO "listener".journal (updated_at, watch, kind, reason)
    VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'reconcile', SQLSTATE || ' ' || SQLERRM);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not recorded: %', 'public.link(film)', SQLERRM;
    -- The journal is locked, or not ours any more: the audit sees this count, and compares.
    BEGIN
      PERFORM nextval('"listener"."lost"');
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END;
  BEGIN
    IF 'rows' = 'off' THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","reconcile":true}');
    ELSE
      INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
      VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', '[]', 'unheard');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not notified: %', 'public.link(film)', SQLERRM;
  END;
  RETURN NULL;
  END;
END
$listener$;
REVOKE ALL ON FUNCTION "listener"."listener_b6a1ddad03d4_insert"() FROM PUBLIC;
CREATE OR REPLACE FUNCTION "listener"."listener_b6a1ddad03d4_update"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $listener$-- Written by listener, do not edit (c33b0630fe34)
-- UPDATE of public.link(film): the keys into the journal, and out by NOTIFY.
DECLARE
  v_same boolean;
  v_keys text;
  -- A full queue fails the COMMIT: rather let the daemon's polls find it. They ask for this reason.
  v_unheard boolean;
BEGIN
  BEGIN
    -- Most statements change one row. Theirs is a short way: one query, since each costs about as
    -- much as all the rest; and the variables of the longer way wait until they are needed.
  INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
  -- First the transaction's id, then the clock: what the watermark's proof needs.
  SELECT CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', c.keys, CASE WHEN pg_notification_queue_usage() >= 0.5 THEN 'unheard' END
  FROM (SELECT NOT EXISTS (SELECT FROM new_rows OFFSET 1) AND o.k1 IS NOT DISTINCT FROM c.k1 AS same, CASE WHEN c.k1 IS NOT NULL THEN '[' || '"' || c.k1::text || '"' || ']' END AS keys FROM (SELECT r."film" AS k1 FROM new_rows AS r) AS c, (SELECT r."film" AS k1 FROM old_rows AS r) AS o LIMIT 1) AS c WHERE c.same AND c.keys IS NOT NULL
  RETURNING true, keys, reason IS NOT NULL INTO v_same, v_keys, v_unheard;
  IF NOT FOUND THEN
    SELECT c.same INTO v_same FROM (SELECT NOT EXISTS (SELECT FROM new_rows OFFSET 1) AND o.k1 IS NOT DISTINCT FROM c.k1 AS same, CASE WHEN c.k1 IS NOT NULL THEN '[' || '"' || c.k1::text || '"' || ']' END AS keys FROM (SELECT r."film" AS k1 FROM new_rows AS r) AS c, (SELECT r."film" AS k1 FROM old_rows AS r) AS o LIMIT 1) AS c;
    IF v_same OR NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
    DECLARE
      v_notify CONSTANT text := 'rows';
      v_room CONSTANT integer := 7963;
      v_at timestamptz;
      v_chunk record;
      v_count bigint := 0;
      v_moved boolean;
      v_sweep boolean := false;
      v_payloads text[];
    BEGIN
      IF v_unheard IS NULL THEN -- else it is known: the journal has it
        v_unheard := pg_notification_queue_usage() >= 0.5;
      END IF;
      IF v_same THEN
        IF v_unheard AND NOT true THEN
          -- First the transaction's id, then the clock: what the watermark's proof needs.
          INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
          VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', v_keys, 'unheard');
        END IF;
        v_count := 1;
        v_sweep := octet_length(v_keys) > v_room;
      ELSE
        v_moved := (SELECT o.keys IS DISTINCT FROM n.keys OR cardinality(n.keys) > 1000000 FROM (SELECT array_agg(s.k1) AS keys FROM (SELECT r."film" AS k1 FROM old_rows AS r LIMIT 1000001) AS s) AS o, (SELECT array_agg(s.k1) AS keys FROM (SELECT r."film" AS k1 FROM new_rows AS r LIMIT 1000001) AS s) AS n);
        IF false AND NOT v_moved THEN
          RETURN NULL;
        END IF;
        FOR v_chunk IN
          SELECT '[' || string_agg(p.piece, ',') || ']' AS keys, count(*) AS n, p.journaled
          FROM (
            SELECT k.piece, k.journaled, row_number() OVER () / 568 AS chunk
            FROM (SELECT '"' || c.k1::text || '"' AS piece, c.journaled FROM ((SELECT s.k1, true AS journaled FROM (SELECT s.k1 FROM (SELECT r."film" AS k1 FROM old_rows AS r) AS s EXCEPT SELECT s.k1 FROM (SELECT r."film" AS k1 FROM new_rows AS r) AS s) AS s WHERE s.k1 IS NOT NULL AND v_moved) UNION ALL (SELECT s.k1, true AS journaled FROM (SELECT r."film" AS k1 FROM new_rows AS r) AS s WHERE s.k1 IS NOT NULL GROUP BY s.k1)) AS c) AS k
          ) AS p
          GROUP BY p.journaled, p.chunk
        LOOP
          IF v_chunk.journaled OR v_unheard THEN
            IF v_at IS NULL THEN
              v_at := CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END;
            END IF;
            INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
            VALUES (v_at, 'public.link(film)', 'keys', v_chunk.keys, CASE WHEN v_unheard THEN 'unheard' END);
          END IF;
          v_count := v_count + v_chunk.n;
          IF v_notify = 'rows' AND NOT v_sweep THEN
            IF v_count <= 10000 AND octet_length(v_chunk.keys) <= v_room THEN
              v_payloads := v_payloads || v_chunk.keys;
            ELSE
              v_sweep := true;
            END IF;
          END IF;
        END LOOP;
      END IF;
      IF v_unheard THEN
        NULL;
      ELSIF v_count > 0 AND v_notify = 'rows' THEN
        IF v_sweep THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","sweep":true}');
        ELSIF v_same THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","k":' || v_keys || '}');
        ELSE
          PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","k":' || p.keys || '}') FROM unnest(v_payloads) AS p (keys);
        END IF;
      ELSIF v_count > 0 THEN
NULL;
      END IF;
    END;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- The statement of the user must not fail because of us, but neither may its change be forgotten:
  -- record that everything is to be compared. Serialization failures, deadlocks, full disks and
  -- i/o errors would have met the user's own work as well: they pass through.
  IF left(SQLSTATE, 2) IN ('40', '53', '58') THEN
    RAISE;
  END IF;
  BEGIN
    INSERT INTO "listener".journal (updated_at, watch, kind, reason)
    VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'reconcile', SQLSTATE || ' ' || SQLERRM);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not recorded: %', 'public.link(film)', SQLERRM;
    -- The journal is locked, or not ours any more: the audit sees this count, and compares.
    BEGIN
      PERFORM nextval('"listener"."lost"');
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END;
  BEGIN
    IF 'rows' = 'off' THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","reconcile":true}');
    ELSE
      INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
      VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', '[]', 'unheard');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not notified: %', 'public.link(film)', SQLERRM;
  END;
  RETURN NULL;
  END;
END
$listener$;
REVOKE ALL ON FUNCTION "listener"."listener_b6a1ddad03d4_update"() FROM PUBLIC;
CREATE OR REPLACE FUNCTION "listener"."listener_b6a1ddad03d4_delete"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $listener$-- Written by listener, do not edit (16abd0c86090)
-- DELETE of public.link(film): the keys into the journal, and out by NOTIFY.
DECLARE
  v_same boolean;
  v_keys text;
  -- A full queue fails the COMMIT: rather let the daemon's polls find it. They ask for this reason.
  v_unheard boolean;
BEGIN
  BEGIN
    -- Most statements change one row. Theirs is a short way: one query, since each costs about as
    -- much as all the rest; and the variables of the longer way wait until they are needed.
  INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
  -- First the transaction's id, then the clock: what the watermark's proof needs.
  SELECT CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', c.keys, CASE WHEN pg_notification_queue_usage() >= 0.5 THEN 'unheard' END
  FROM (SELECT NOT EXISTS (SELECT FROM old_rows OFFSET 1) AND c.k1 IS NOT DISTINCT FROM c.k1 AS same, CASE WHEN c.k1 IS NOT NULL THEN '[' || '"' || c.k1::text || '"' || ']' END AS keys FROM (SELECT r."film" AS k1 FROM old_rows AS r) AS c LIMIT 1) AS c WHERE c.same AND c.keys IS NOT NULL
  RETURNING true, keys, reason IS NOT NULL INTO v_same, v_keys, v_unheard;
  IF NOT FOUND THEN
    SELECT c.same INTO v_same FROM (SELECT NOT EXISTS (SELECT FROM old_rows OFFSET 1) AND c.k1 IS NOT DISTINCT FROM c.k1 AS same, CASE WHEN c.k1 IS NOT NULL THEN '[' || '"' || c.k1::text || '"' || ']' END AS keys FROM (SELECT r."film" AS k1 FROM old_rows AS r) AS c LIMIT 1) AS c;
    IF v_same OR NOT FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
    DECLARE
      v_notify CONSTANT text := 'rows';
      v_room CONSTANT integer := 7963;
      v_at timestamptz;
      v_chunk record;
      v_count bigint := 0;
      v_moved boolean;
      v_sweep boolean := false;
      v_payloads text[];
    BEGIN
      IF v_unheard IS NULL THEN -- else it is known: the journal has it
        v_unheard := pg_notification_queue_usage() >= 0.5;
      END IF;
      IF v_same THEN
        IF v_unheard AND NOT true THEN
          -- First the transaction's id, then the clock: what the watermark's proof needs.
          INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
          VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', v_keys, 'unheard');
        END IF;
        v_count := 1;
        v_sweep := octet_length(v_keys) > v_room;
      ELSE
        v_moved := true;
        IF false AND NOT v_moved THEN
          RETURN NULL;
        END IF;
        FOR v_chunk IN
          SELECT '[' || string_agg(p.piece, ',') || ']' AS keys, count(*) AS n, p.journaled
          FROM (
            SELECT k.piece, k.journaled, row_number() OVER () / 568 AS chunk
            FROM (SELECT '"' || c.k1::text || '"' AS piece, c.journaled FROM (SELECT s.k1, true AS journaled FROM (SELECT r."film" AS k1 FROM old_rows AS r) AS s WHERE s.k1 IS NOT NULL GROUP BY s.k1) AS c) AS k
          ) AS p
          GROUP BY p.journaled, p.chunk
        LOOP
          IF v_chunk.journaled OR v_unheard THEN
            IF v_at IS NULL THEN
              v_at := CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END;
            END IF;
            INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
            VALUES (v_at, 'public.link(film)', 'keys', v_chunk.keys, CASE WHEN v_unheard THEN 'unheard' END);
          END IF;
          v_count := v_count + v_chunk.n;
          IF v_notify = 'rows' AND NOT v_sweep THEN
            IF v_count <= 10000 AND octet_length(v_chunk.keys) <= v_room THEN
              v_payloads := v_payloads || v_chunk.keys;
            ELSE
              v_sweep := true;
            END IF;
          END IF;
        END LOOP;
      END IF;
      IF v_unheard THEN
        NULL;
      ELSIF v_count > 0 AND v_notify = 'rows' THEN
        IF v_sweep THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","sweep":true}');
        ELSIF v_same THEN
          PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","k":' || v_keys || '}');
        ELSE
          PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","k":' || p.keys || '}') FROM unnest(v_payloads) AS p (keys);
        END IF;
      ELSIF v_count > 0 THEN
NULL;
      END IF;
    END;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- The statement of the user must not fail because of us, but neither may its change be forgotten:
  -- record that everything is to be compared. Serialization failures, deadlocks, full disks and
  -- i/o errors would have met the user's own work as well: they pass through.
  IF left(SQLSTATE, 2) IN ('40', '53', '58') THEN
    RAISE;
  END IF;
  BEGIN
    INSERT INTO "listener".journal (updated_at, watch, kind, reason)
    VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'reconcile', SQLSTATE || ' ' || SQLERRM);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not recorded: %', 'public.link(film)', SQLERRM;
    -- The journal is locked, or not ours any more: the audit sees this count, and compares.
    BEGIN
      PERFORM nextval('"listener"."lost"');
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END;
  BEGIN
    IF 'rows' = 'off' THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","reconcile":true}');
    ELSE
      INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
      VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', '[]', 'unheard');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not notified: %', 'public.link(film)', SQLERRM;
  END;
  RETURN NULL;
  END;
END
$listener$;
REVOKE ALL ON FUNCTION "listener"."listener_b6a1ddad03d4_delete"() FROM PUBLIC;
CREATE OR REPLACE FUNCTION "listener"."listener_b6a1ddad03d4_truncate"() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $listener$-- Written by listener, do not edit (9fd2dc0d56d9)
-- TRUNCATE of public.link(film): there are no keys to tell, so everything is to be compared.
BEGIN
  INSERT INTO "listener".journal (updated_at, watch, kind, reason)
  VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'reconcile', 'TRUNCATE');
  IF 'rows' = 'off' THEN
    NULL;
  ELSIF pg_notification_queue_usage() < 0.5 THEN
    PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","reconcile":true}');
  ELSE
    INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
    VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', '[]', 'unheard');
  END IF;
  RETURN NULL;
EXCEPTION WHEN OTHERS THEN
  -- The statement of the user must not fail because of us, but neither may its change be forgotten:
  -- record that everything is to be compared. Serialization failures, deadlocks, full disks and
  -- i/o errors would have met the user's own work as well: they pass through.
  IF left(SQLSTATE, 2) IN ('40', '53', '58') THEN
    RAISE;
  END IF;
  BEGIN
    INSERT INTO "listener".journal (updated_at, watch, kind, reason)
    VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'reconcile', SQLSTATE || ' ' || SQLERRM);
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not recorded: %', 'public.link(film)', SQLERRM;
    -- The journal is locked, or not ours any more: the audit sees this count, and compares.
    BEGIN
      PERFORM nextval('"listener"."lost"');
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END;
  BEGIN
    IF 'rows' = 'off' THEN
      NULL;
    ELSIF pg_notification_queue_usage() < 0.5 THEN
      PERFORM pg_notify('listener', '{"v":1,"w":"public.link(film)","reconcile":true}');
    ELSE
      INSERT INTO "listener".journal (updated_at, watch, kind, keys, reason)
      VALUES (CASE WHEN pg_catalog.pg_current_xact_id() IS NOT NULL THEN pg_catalog.clock_timestamp() END, 'public.link(film)', 'keys', '[]', 'unheard');
    END IF;
  EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'listener: a change of % is not notified: %', 'public.link(film)', SQLERRM;
  END;
  RETURN NULL;
END
$listener$;
REVOKE ALL ON FUNCTION "listener"."listener_b6a1ddad03d4_truncate"() FROM PUBLIC;
CREATE TRIGGER "listener_b6a1ddad03d4_insert" AFTER INSERT ON "public"."link"
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT
EXECUTE FUNCTION "listener"."listener_b6a1ddad03d4_insert"();
ALTER TABLE ONLY "public"."link" ENABLE ALWAYS TRIGGER "listener_b6a1ddad03d4_insert";
CREATE TRIGGER "listener_b6a1ddad03d4_update" AFTER UPDATE ON "public"."link"
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT
EXECUTE FUNCTION "listener"."listener_b6a1ddad03d4_update"();
ALTER TABLE ONLY "public"."link" ENABLE ALWAYS TRIGGER "listener_b6a1ddad03d4_update";
CREATE TRIGGER "listener_b6a1ddad03d4_delete" AFTER DELETE ON "public"."link"
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT
EXECUTE FUNCTION "listener"."listener_b6a1ddad03d4_delete"();
ALTER TABLE ONLY "public"."link" ENABLE ALWAYS TRIGGER "listener_b6a1ddad03d4_delete";
CREATE TRIGGER "listener_b6a1ddad03d4_truncate" AFTER TRUNCATE ON "public"."link"
FOR EACH STATEMENT
EXECUTE FUNCTION "listener"."listener_b6a1ddad03d4_truncate"();
ALTER TABLE ONLY "public"."link" ENABLE ALWAYS TRIGGER "listener_b6a1ddad03d4_truncate";
UPDATE "listener".meta SET pruned_below = pg_catalog.clock_timestamp();
COMMIT;

-- index on public.film, without blocking writers (not in a transaction)
--   because public.film has no index that leads with updated_at
CREATE INDEX CONCURRENTLY "listener_at_c4c05d40a8c3_dcd40dfb8269" ON "public"."film" ("updated_at");
