#!/usr/bin/env bash
# Builds, tests, measures and profiles the CUDA kernels in one command, within 9 minutes: docs/gpu.md.
# Without a device, or with --rehearse, steps that need none run with small sizes; the others only print their command.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/run.py" "$@"
