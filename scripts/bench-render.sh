#!/usr/bin/env bash
# `oppose-native render` against pose-format's PoseVisualizer, in alternating runs: whole programs that draw the same .pose
# file over the same video and encode H.264. PoseVisualizer runs twice: as `visualize_pose` uses it, and with our encoder
# settings.
#
#   scripts/bench-render.sh VIDEO POSE [RUNS]       default: 5 runs
#
# $OPPOSE_PYTHON is a Python with pose-format, OpenCV and vidgear (default: .venv/bin/python).
set -euo pipefail
cd "$(dirname "$0")/.."
video=${1:?expected a video} pose=${2:?expected the .pose file of the video} runs=${3:-5}
python=${OPPOSE_PYTHON:-.venv/bin/python}
"$python" -c 'import pose_format, cv2, vidgear' || { echo "needs: $python -m pip install vidgear" >&2; exit 2; }
cargo build --quiet --release --bin oppose-native
program=${CARGO_TARGET_DIR:-target}/release/oppose-native
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
seconds() {
    local start=$EPOCHREALTIME
    "$@" >"$folder/log" 2>&1 || { cat "$folder/log" >&2; return 1; }
    echo "$EPOCHREALTIME $start" | awk '{ printf "%.3f", $1 - $2 }'
}
ours() { "$program" render "$video" "$pose" -o "$folder/ours.mp4" --overwrite; }
theirs() { "$python" benches/pose_visualizer.py "$video" "$pose" "$folder/theirs.mp4"; }
same() { "$python" benches/pose_visualizer.py "$video" "$pose" "$folder/same.mp4" same; }
for warm in ours theirs same; do seconds "$warm" >/dev/null; done
for _ in $(seq "$runs"); do
    echo "$(seconds ours) $(seconds theirs) $(seconds same)"
done | tee "$folder/times" | awk '{ printf "oppose %.2f s, PoseVisualizer %.2f s, with the same encoder settings %.2f s\n", $1, $2, $3 }'
for column in 2 3; do
    awk -v c="$column" '{ print $c / $1 }' "$folder/times" | sort -n |
        awk '{ r[NR] = $1 } END { printf "median ratio %.2f (%.2f to %.2f)\n", r[int((NR+1)/2)], r[1], r[NR] }'
done
