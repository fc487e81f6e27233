-- Where the raw lines of data/movies.ndjson.gz go before fill.sql makes rows of them.
-- All of it is temporary and ends with the session.
--
-- Then: COPY pg_temp.film_line (film) FROM STDIN (FORMAT csv, QUOTE e'\x01', DELIMITER e'\x02'),
-- which takes each line as it stands (the text format would read the backslashes of JSON).

CREATE TEMP TABLE film_line (
    line int GENERATED ALWAYS AS IDENTITY,
    film json NOT NULL
);

-- Version 5 UUID (RFC 9562): SHA-1 of namespace and name. PostgreSQL has no SHA-1 of its own, and
-- uuid-ossp and pgcrypto are not everywhere. Checked against Python's uuid.uuid5 by the tests.
CREATE FUNCTION pg_temp.uuid5(namespace uuid, name text) RETURNS uuid
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    mask CONSTANT bigint := 4294967295;
    message bytea := uuid_send(namespace) || convert_to(name, 'UTF8');
    bytes CONSTANT int := length(message);
    blocks CONSTANT int := (bytes + 8) / 64 + 1;
    words bigint[];
    h0 bigint := 1732584193;
    h1 bigint := 4023233417;
    h2 bigint := 2562383102;
    h3 bigint := 271733878;
    h4 bigint := 3285377520;
    a bigint; b bigint; c bigint; d bigint; e bigint; t bigint;
    digest bytea;
BEGIN
    message := message || '\x80' || decode(repeat('00', blocks * 64 - bytes - 9), 'hex')
        || int8send(bytes::bigint * 8);
    FOR block IN 0 .. blocks - 1 LOOP
        FOR i IN 0 .. 15 LOOP
            words[i] := ('x' || encode(substring(message FROM block * 64 + i * 4 + 1 FOR 4), 'hex'))
                ::bit(32)::bigint;
        END LOOP;
        FOR i IN 16 .. 79 LOOP
            t := words[i - 3] # words[i - 8] # words[i - 14] # words[i - 16];
            words[i] := ((t << 1) | (t >> 31)) & mask;
        END LOOP;
        a := h0; b := h1; c := h2; d := h3; e := h4;
        FOR i IN 0 .. 79 LOOP
            t := (((a << 5) | (a >> 27)) & mask) + e + words[i]
                + CASE
                    WHEN i < 20 THEN ((b & c) | (~b & d)) + 1518500249
                    WHEN i < 40 THEN (b # c # d) + 1859775393
                    WHEN i < 60 THEN ((b & c) | (b & d) | (c & d)) + 2400959708
                    ELSE (b # c # d) + 3395469782
                END & mask;
            e := d; d := c; c := ((b << 30) | (b >> 2)) & mask; b := a; a := t;
        END LOOP;
        h0 := (h0 + a) & mask; h1 := (h1 + b) & mask; h2 := (h2 + c) & mask;
        h3 := (h3 + d) & mask; h4 := (h4 + e) & mask;
    END LOOP;
    digest := int8send((h0 << 32) | h1) || int8send((h2 << 32) | h3);
    digest := set_byte(digest, 6, get_byte(digest, 6) & 15 | 80);    -- version 5
    digest := set_byte(digest, 8, get_byte(digest, 8) & 63 | 128);   -- RFC variant
    RETURN encode(digest, 'hex')::uuid;
END
$$;
