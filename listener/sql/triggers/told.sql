-- The payloads of a statement, if they are few enough to be sent: a fragment.
          (SELECT array_agg({head} || s.keys || '}}') FROM (
            SELECT o.keys FROM chunk AS o WHERE octet_length(o.keys) <= v_room LIMIT {most}
          ) AS s)
