#!/usr/bin/env bash
# How the cost of a frame grows with the number of people, the resolution and the threads: the engine `native` on the CPU,
# full-size nets, whole program. The difference between a long and a short run excludes start-up and loading.
#
#   scripts/bench-native.sh [RUNS]      default: 3 runs; the median is reported
set -euo pipefail
cd "$(dirname "$0")/.."
runs=${1:-3} short=1 long=5
cargo build --quiet --release --bin oppose-native --example test_material
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
target/release/examples/test_material models "$folder/models" meaningful
seconds() {
    local start=$EPOCHREALTIME
    target/release/oppose-native "$folder/$1.mkv" -o "$folder/out.pose" --overwrite --engine native \
        --model-folder "$folder/models" --progress none "${@:2}" 2>"$folder/log"
    echo "$EPOCHREALTIME $start" | awk '{ printf "%.3f\n", $1 - $2 }'
}
# Number of people, frame size, further options.
row() {
    for frames in $short $long; do
        target/release/examples/test_material people "$1" "$2" "$frames" |
            ffmpeg -v error -y -f rawvideo -pix_fmt bgr24 -s "$2" -r 30 -i - -c:v ffv1 -pix_fmt bgr0 "$folder/$frames.mkv"
    done
    for _ in $(seq "$runs"); do
        echo "$(seconds $long "${@:3}") $(seconds $short "${@:3}")"
    done | awk -v n=$((long - short)) '{ print ($1 - $2) / n }' | sort -n |
        awk -v row="$1 | $2 | ${*:3}" '{ s[NR] = $1 } END { printf "| %s | %.2f |\n", row, s[int((NR + 1) / 2)] }'
}
echo "| people | frame | options | seconds per frame |"
echo "| ---: | --- | --- | ---: |"
for people in 0 1 2 5 10; do row $people 1104x624; done
for size in 480x640 640x480 1280x720 1920x1080; do row 1 $size; done
# A net that sees the dots larger or smaller than it was made for finds more people in them.
row 1 640x480 --number_people_max 1 --net_resolution -1x256
row 1 640x480 --number_people_max 1 --net_resolution -1x512
for ((threads = 1; threads <= $(nproc); threads *= 2)); do row 1 640x480 --threads $threads; done
