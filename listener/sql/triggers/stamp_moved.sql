-- Where nobody is told keys: OLD keys that moved go into the journal, for polling cannot see them.
  IF NOT coalesce({same}, TG_OP OPERATOR(pg_catalog.=) 'INSERT') THEN{each}
  END IF;
