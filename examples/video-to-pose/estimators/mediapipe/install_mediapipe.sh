#!/usr/bin/env bash
# Installs oppose-native and the nets of MediaPipe Holistic for run_mediapipe.sh.
#
#   OPPOSE_DIR=FOLDER install_mediapipe.sh [--slurm]      FOLDER: a checkout of oppose, or its unpacked archive
#
# --slurm changes nothing.
set -euo pipefail

MEDIAPIPE_DIR="$(cd "$(dirname "$0")" && pwd)"
REPO_DIR="$(dirname "$(dirname "$MEDIAPIPE_DIR")")"
TOOLS=$REPO_DIR/tools/mediapipe

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
"$OPPOSE_DIR/scripts/fetch-models.sh" "$TOOLS/models"
