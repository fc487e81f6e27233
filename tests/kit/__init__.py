"""What tests share: servers, scenes, clients that write, proxies that fail, faults.

- `servers`, `scenes`, `daemon`, `blind`, `triggers`: fixtures, which each test has by their names
- `scene`: a database, a configuration and daemons for one test; `databases`: on a PostgreSQL of its
  own; `persons`, `migrations`, `altered`, `wrong_index`: what is done to one
- `writer`, `writers`, `probes`: applications that write; `statements`, `writes`: what they write
- `strangers`, `flood`: other clients, which do harm; `values`: odd contents of rows
- `proxies`: the way to a server, which refuses, loses, holds or delays
- `chaos`: faults by name, for runs of many
- `convergence`, `recovery`: index = query, and how long that took
- `comparing`, `coordinator`, `indexing`, `reading`, `resync`, `session`, `sending`, `threads`:
  parts of unit tests, as are `index_configs` and `users`

Nothing here imports a test, and no test imports another one (tests/unit/test_kit.py).
"""
