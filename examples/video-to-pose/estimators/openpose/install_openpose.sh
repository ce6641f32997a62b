#!/usr/bin/env bash
# Installs oppose-native and OpenPose's models for run_openpose.sh.
#
#   OPPOSE_DIR=FOLDER OPENPOSE_MODELS=MODELS install_openpose.sh [--slurm]
#
# FOLDER is a checkout of oppose, or its unpacked archive; MODELS is OpenPose's folder of models, which has pose/, face/ and
# hand/. --slurm changes nothing.
set -euo pipefail

OPENPOSE_DIR="$(cd "$(dirname "$0")" && pwd)"
REPO_DIR="$(dirname "$(dirname "$OPENPOSE_DIR")")"
TOOLS=$REPO_DIR/tools/openpose

while [[ $# -gt 0 ]]; do
    case "$1" in
        --slurm) shift ;;
        *) echo "Unknown argument: $1" >&2; exit 1 ;;
    esac
done

if [[ -z "${OPPOSE_DIR:-}" ]]; then
    echo "Error: OPPOSE_DIR is not set. Set it to a checkout of oppose, or to its unpacked archive." >&2
    exit 1
fi
if [[ ! -f "${OPENPOSE_MODELS:-}/pose/body_25/pose_iter_584000.caffemodel" ]]; then
    echo "Error: OPENPOSE_MODELS is not OpenPose's folder of models: no pose/body_25/pose_iter_584000.caffemodel in it." >&2
    exit 1
fi
PROGRAM=$OPPOSE_DIR/oppose-native
if [[ ! -x "$PROGRAM" ]]; then
    PROGRAM=$OPPOSE_DIR/target/release/oppose-native
    if [[ ! -x "$PROGRAM" ]]; then
        "$OPPOSE_DIR/scripts/install-packages.sh" build
        (cd "$OPPOSE_DIR" && PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin" cargo build --release --locked)
    fi
fi
mkdir -p "$TOOLS"
ln -sfn "$(realpath "$PROGRAM")" "$TOOLS/oppose-native"
ln -sfn "$(realpath "$OPENPOSE_MODELS")" "$TOOLS/models"
