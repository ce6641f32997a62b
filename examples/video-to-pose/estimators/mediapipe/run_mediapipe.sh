#!/usr/bin/env bash
# Estimates the poses of all videos in a folder: MediaPipe Holistic with 586 points.
#
#   run_mediapipe.sh --input FOLDER --output FOLDER [--device cpu] [--num-workers N] [--slurm [--chunks N]]
set -euo pipefail

MEDIAPIPE_DIR="$(cd "$(dirname "$0")" && pwd)"
REPO_DIR="$(dirname "$(dirname "$MEDIAPIPE_DIR")")"
TOOLS=$REPO_DIR/tools/mediapipe

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

if [[ -n "$DEVICE" && "$DEVICE" != "cpu" ]]; then
    echo "Error: mediapipe runs on the CPU. Use --device cpu or omit --device." >&2
    exit 1
fi
if [[ ${#CHUNKS_ARG[@]} -gt 0 && "$USE_SLURM" = false ]]; then
    echo "Error: --chunks requires --slurm" >&2
    exit 1
fi
if [[ -z "$INPUT" || -z "$OUTPUT" ]]; then
    echo "Usage: $0 --input <input_folder> --output <output_folder> [--device cpu] [--num-workers N] [--slurm [--chunks N]]" >&2
    exit 1
fi
if [[ ! -x "$TOOLS/oppose-native" ]]; then
    echo "Error: oppose-native not found. Please run install.sh --type mediapipe first." >&2
    exit 1
fi

OPTIONS=(
    --engine holistic --model-folder "$TOOLS/models"
    --additional-config "model_complexity=2,smooth_landmarks=false,refine_face_landmarks=true"
    "${WORKERS_ARG[@]}"
)
if [ "$USE_SLURM" = true ]; then
    exec "$TOOLS/oppose-native" slurm submit "$INPUT" "$OUTPUT" --gpus none "${CHUNKS_ARG[@]}" -- "${OPTIONS[@]}"
fi
mkdir -p "$OUTPUT"
exec "$TOOLS/oppose-native" "$INPUT" --output "$OUTPUT" "${OPTIONS[@]}"
