"""Self-supervised training: AVC, then AVSA from the AVC weights."""

import os

# Before torch loads OpenMP. A thread that spins at a barrier holds the core that the thread it waits for needs:
# beside one other busy process, on two cores, a step took 15 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
