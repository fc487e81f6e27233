"""The convergence suite: writes of all kinds, faults of all kinds, and index = query after them.

`machine` draws the steps, `world` carries them out on real servers, `python -m tests.convergence`
runs it for longer, and repeats what failed.
"""
