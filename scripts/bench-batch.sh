#!/usr/bin/env bash
# A folder of short clips: one run of this program against the traditional pipeline (one OpenPose process per video, one
# JSON file per frame, and a Python script that assembles them into a .pose file). Small nets, so that mainly the
# work around them is measured; both without a GPU.
#
#   OPENPOSE_DIR=... PYTHON=... scripts/bench-batch.sh VIDEO [CLIPS]      default: 50 clips of one second
#
# PYTHON is a Python with pose-format installed.
set -euo pipefail
cd "$(dirname "$0")/.."
video=$1 clips=${2:-50} python=${PYTHON:-.venv/bin/python}
: "${OPENPOSE_DIR:?must name the folder of a build of OpenPose 1.5.1}"
openpose=$OPENPOSE_DIR/build/examples/openpose/openpose.bin
cargo build --quiet --release --bin oppose-native --example test_material
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
target/release/examples/test_material models "$folder/models" small
mkdir "$folder/clips" "$folder/old" "$folder/new"
ffmpeg -v error -i "$video" -t 1 -an -c:v libx264 -pix_fmt yuv420p "$folder/clip.mp4"
for ((clip = 0; clip < clips; clip++)); do cp "$folder/clip.mp4" "$folder/clips/$clip.mp4"; done
options=(--net_resolution -1x80 --face_net_resolution 64x64 --hand_net_resolution 64x64)

old() {
    # OpenPose creates a folder, but not the folders above it.
    mkdir "$folder/json"
    for clip in "$folder"/clips/*.mp4; do
        name=$(basename "$clip" .mp4)
        OPENBLAS_NUM_THREADS=$(nproc) "$openpose" --video "$clip" --write_json "$folder/json/$name/" --face --hand \
            --model_folder "$folder/models/" --display 0 --render_pose 0 "${options[@]}" >"$folder/log" 2>&1
        "$python" - "$folder/json/$name" "$folder/old/$name.pose" <<'P'
import sys
from pose_format.utils.openpose import load_openpose_directory
pose = load_openpose_directory(sys.argv[1], fps=24, width=540, height=720)
with open(sys.argv[2], "wb") as file:
    pose.write(file)
P
    done
}
new() {
    target/release/oppose-native "$folder/clips" -o "$folder/new" --overwrite --engine native --device cpu \
        --model-folder "$folder/models" "${options[@]}" --progress none 2>"$folder/log"
}
seconds() {
    local start=$EPOCHREALTIME
    "$@"
    echo "$EPOCHREALTIME $start" | awk '{ printf "%.2f", $1 - $2 }'
}
for _ in 1 2 3; do
    echo "$(seconds new) $(seconds old)"
    rm -r "$folder/json"
done | awk -v clips="$clips" '{ printf "%d clips: oppose %.1f s, traditional pipeline %.1f s, speedup %.1f\n", clips, $1, $2, $2 / $1 }'
