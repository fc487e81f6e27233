"""`python -m listener`."""

import gc
import importlib
import sys

if __name__ == "__main__":
    gc.disable()  # importing leaves nothing to collect; `rare_collections` switches it on
    sys.exit(importlib.import_module("listener.cli").main())
