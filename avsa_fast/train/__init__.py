"""Self-supervised training: AVC, then AVSA from the AVC weights."""

import os

# Before torch loads OpenMP. Threads that spin at a barrier hold the core that the thread they wait for, or a process that
# decodes, needs: with one more busy process than cores, a step took 15 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
