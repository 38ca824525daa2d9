#!/usr/bin/env bash
# Builds, tests, measures and profiles the CUDA kernels in three parts, each within 9 minutes: run.sh kernels, run.sh
# peers, run.sh checks (docs/gpu.md). A part that was cut off goes on where it was when it is started again.
# Without a device, or with --rehearse, steps that need none run with small sizes; the others only print their command.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/run.py" "$@"
