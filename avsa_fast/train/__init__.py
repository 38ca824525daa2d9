"""Self-supervised training: AVC, then AVSA initialised from the AVC weights."""

import os

# Must be set before torch loads OpenMP. A thread spinning at a barrier occupies the core that the thread it waits for
# needs: with one other busy process on two cores, a step took 15 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
