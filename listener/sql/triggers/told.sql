-- The payloads of a statement, if its keys are few enough to be sent: a fragment.
          (SELECT array_agg({head} || o.keys || '}}') FROM chunk AS o
           WHERE octet_length(o.keys) <= v_room AND (SELECT CAST(sum(s.n) AS bigint) FROM chunk AS s) <= {most})
