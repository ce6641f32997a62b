#!/usr/bin/env bash
# The cost of the shim, the process boundary and the pipeline: the engine `openpose`, writing a .pose file, against a bare C++
# loop over op::Wrapper that discards its results. The same OpenPose, nets and video, in alternating runs; both are timed from
# the first frame to the last.
#
#   OPENPOSE_DIR=... scripts/bench-openpose-shim.sh VIDEO [MODELS [NET_HEIGHT CROP_SIDE [RUNS]]]
set -euo pipefail
cd "$(dirname "$0")/.."
video=${1:?expected a video} models=${2:-} height=${3:-176} side=${4:-96} runs=${5:-5}
: "${OPENPOSE_DIR:?must name the folder of a build of OpenPose 1.5.1}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cargo build --quiet --release --bin oppose-native --example test_material
if [ -z "$models" ]; then
    models=$folder/models
    target/release/examples/test_material models "$models" small
fi
libraries=("$OPENPOSE_DIR/build/src/openpose" "$OPENPOSE_DIR/build/caffe/lib")
c++ -std=c++11 -O2 benches/openpose_wrapper/bare_loop.cpp -o "$folder/bare_loop" -isystem "$OPENPOSE_DIR/include" \
    -isystem /usr/include/opencv4 -L"${libraries[0]}" -lopenpose -lopencv_core -lopencv_videoio -pthread \
    -Wl,-rpath,"${libraries[0]}",-rpath,"${libraries[1]}",-rpath-link,"${libraries[1]}"
# Stored as RGB because OpenCV 4 decodes BT.709 as if it were BT.601, and different pixels mean different work.
ffmpeg -v error -i "$video" -an -c:v ffv1 -pix_fmt bgr0 "$folder/video.mkv"
ours() {
    target/release/oppose-native "$folder/video.mkv" -o "$folder/out.pose" --overwrite --engine openpose \
        --model-folder "$models" --net-resolution "-1x$height" --face-net-resolution "${side}x$side" \
        --hand-net-resolution "${side}x$side" --progress json | sed -n 's/.*"event":"done".*"seconds":\([0-9.]*\).*/\1/p'
}
theirs() { "$folder/bare_loop" "$folder/video.mkv" "$models/" "$height" "$side" 2>"$folder/log" | awk '{ print $5 }'; }
export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-$(nproc)}
ours >"$folder/warm"
for _ in $(seq "$runs"); do
    echo "$(ours) $(theirs)"
done | awk '{ printf "oppose %.2f s, bare loop %.2f s, speed %.3f\n", $1, $2, $2 / $1 }' | tee "$folder/rows"
awk '{ print $NF }' "$folder/rows" | sort -n |
    awk '{ r[NR] = $1 } END { printf "median %.3f (%.3f to %.3f)\n", r[int((NR + 1) / 2)], r[1], r[NR] }'
