"""What a run learned, or what a dataset holds, as one HTML page that needs nothing else."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads OpenMP; see avsa_fast.train
