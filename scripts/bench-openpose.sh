#!/usr/bin/env bash
# The engine `native` on the CPU against the real OpenPose built without a GPU: the same full-size nets and the same video of
# one person with face and hands, in alternating runs. The difference between a long and a short run excludes start-up and
# loading.
#
#   OPENPOSE_DIR=... scripts/bench-openpose.sh [RUNS]      default: 3 runs
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-3} short=1 long=5
: "${OPENPOSE_DIR:?must name the folder of a build of OpenPose 1.5.1}"
openpose=$OPENPOSE_DIR/build/examples/openpose/openpose.bin
cores=$(nproc)
cargo build --quiet --release --bin oppose-native --example test_material
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
target/release/examples/test_material models "$folder/models" meaningful
for frames in $short $long; do
    target/release/examples/test_material people 1 640x480 "$frames" |
        ffmpeg -v error -f rawvideo -pix_fmt bgr24 -s 640x480 -r 30 -i - -c:v ffv1 -pix_fmt bgr0 "$folder/$frames.mkv"
done
ours() {
    target/release/oppose-native "$folder/$1.mkv" -o "$folder/out.pose" --overwrite --engine native \
        --model-folder "$folder/models" --threads "$cores" --progress none 2>"$folder/oppose.log"
}
theirs() {
    OPENBLAS_NUM_THREADS=$cores "$openpose" --video "$folder/$1.mkv" --write_json "$folder/json/" --face --hand \
        --model_folder "$folder/models/" --display 0 --render_pose 0 >"$folder/openpose.log" 2>&1
}
seconds() {
    local start=$EPOCHREALTIME
    "$@" >/dev/null
    echo "$EPOCHREALTIME $start" | awk '{ printf "%.3f ", $1 - $2 }'
}
ours $short
theirs $short
for _ in $(seq "$runs"); do
    for frames in $short $long; do
        seconds ours "$frames"
        seconds theirs "$frames"
    done
    echo
done | awk -v frames=$((long - short)) '{
    ours = ($3 - $1) / frames; theirs = ($4 - $2) / frames
    printf "per frame: oppose %.2f s, OpenPose %.2f s, ratio %.2f; the whole run of %d frames: ratio %.2f\n",
        ours, theirs, theirs / ours, frames + 1, $4 / $3
}' | tee "$folder/ratios"
sed 's/.*s, ratio \([0-9.]*\);.*/\1/' "$folder/ratios" | sort -n |
    awk '{ r[NR] = $1 } END { printf "median ratio %.2f (%.2f to %.2f)\n", r[int((NR + 1) / 2)], r[1], r[NR] }'
