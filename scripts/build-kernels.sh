#!/usr/bin/env bash
# Compiles the kernels of the engine `native` ahead of time, for all kinds of GPUs from V100 to RTX 50, into a folder that is
# shipped with the program, which then needs no compiler. Needs no GPU; fetches NVRTC from PyPI.
#
#   scripts/build-kernels.sh FOLDER [COMPUTE_CAPABILITY...]
#
# COMPILE_KERNELS is the path of the example `compile_kernels` if it has been built already.
set -euo pipefail
folder=$(realpath -m "$1")
shift
cd "$(dirname "$0")/.."

# The last version that compiles for Volta, and the first that compiles for Blackwell.
nvrtc=nvidia-cuda-nvrtc-cu12==12.9.86
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
python3 -m pip install --quiet --no-deps --target "$packages" "$nvrtc"
export OPPOSE_NVRTC=$packages/nvidia/cuda_nvrtc/lib
if [ -n "${COMPILE_KERNELS:-}" ]; then
    "$COMPILE_KERNELS" "$folder" "$@"
else
    cargo run --quiet --release --example compile_kernels -- "$folder" "$@"
fi
