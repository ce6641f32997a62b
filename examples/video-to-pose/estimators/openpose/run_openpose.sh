#!/usr/bin/env bash
# Estimates the poses of all videos in a folder: OpenPose's 137 points, from its nets but without OpenPose itself.
#
#   run_openpose.sh --input FOLDER --output FOLDER [--device cpu|gpu] [--num-workers N] [--slurm [--chunks N]]
set -euo pipefail

OPENPOSE_DIR="$(cd "$(dirname "$0")" && pwd)"
REPO_DIR="$(dirname "$(dirname "$OPENPOSE_DIR")")"
TOOLS=$REPO_DIR/tools/openpose

USE_SLURM=false
INPUT=""
OUTPUT=""
DEVICE=""
CHUNKS_ARG=()
WORKERS_ARG=()

while [[ $# -gt 0 ]]; do
    case "$1" in
        --slurm)       USE_SLURM=true; shift ;;
        --input)       INPUT="$2"; shift 2 ;;
        --output)      OUTPUT="$2"; shift 2 ;;
        --device)      DEVICE="$2"; shift 2 ;;
        --chunks)      CHUNKS_ARG=(--chunks "$2"); shift 2 ;;
        --num-workers) WORKERS_ARG=(--workers "$2"); shift 2 ;;
        *) echo "Unknown argument: $1" >&2; exit 1 ;;
    esac
done

# On the CPU, tasks should not request GPUs from SLURM.
GPUS_ARG=()
case "$DEVICE" in
    "")  DEVICE=auto ;;
    gpu) DEVICE=cuda ;;
    cpu) GPUS_ARG=(--gpus none) ;;
    *) echo "Error: --device is cpu or gpu, not $DEVICE." >&2; exit 1 ;;
esac
if [[ ${#CHUNKS_ARG[@]} -gt 0 && "$USE_SLURM" = false ]]; then
    echo "Error: --chunks requires --slurm" >&2
    exit 1
fi
if [[ -z "$INPUT" || -z "$OUTPUT" ]]; then
    echo "Usage: $0 --input <input_folder> --output <output_folder> [--device cpu|gpu] [--num-workers N] [--slurm [--chunks N]]" >&2
    exit 1
fi
if [[ ! -x "$TOOLS/oppose-native" ]]; then
    echo "Error: oppose-native not found. Please run install.sh --type openpose first." >&2
    exit 1
fi

OPTIONS=(
    --engine native --device "$DEVICE" --model-folder "$TOOLS/models"
    "${WORKERS_ARG[@]}"
)
if [ "$USE_SLURM" = true ]; then
    exec "$TOOLS/oppose-native" slurm submit "$INPUT" "$OUTPUT" "${GPUS_ARG[@]}" "${CHUNKS_ARG[@]}" -- "${OPTIONS[@]}"
fi
mkdir -p "$OUTPUT"
exec "$TOOLS/oppose-native" "$INPUT" --output "$OUTPUT" "${OPTIONS[@]}"
