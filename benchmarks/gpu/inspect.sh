#!/usr/bin/env bash
# Compiles every kernel for sm_80 and sm_90a and compares its resources with kernels.json; needs no device.
# --record writes the current values to kernels.json; FILE... inspects only these .cu files.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/resources.py" "$@"
