"""Self-contained HTML report of a run or a dataset."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads OpenMP; see avsa_fast.train
