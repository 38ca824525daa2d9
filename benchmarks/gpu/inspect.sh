#!/usr/bin/env bash
# Compiles every kernel for sm_80 and sm_90a and compares what the compiler made of it with kernels.json; needs no device.
# --record takes the present values into kernels.json; FILE... inspects these .cu files only.
set -euo pipefail
exec "${PYTHON:-python3}" "$(dirname "$0")/resources.py" "$@"
