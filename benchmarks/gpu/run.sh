#!/usr/bin/env bash
# Builds, tests, measures and explains the CUDA kernels in one command, within 9 minutes: docs/gpu.md.
# Without a device, or with --rehearse, what needs none really runs, at small sizes; of the rest it says what would run.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/run.py" "$@"
