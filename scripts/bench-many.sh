#!/usr/bin/env bash
# Many tiny clips: the overhead of each apart from its frames, and whether memory stays constant.
#
#   scripts/bench-many.sh [COUNT...]        default: 1000 10000 clips of five frames
#
# Small nets, so that mainly the work around them is measured. First the clips against one video with all their frames; then
# with two workers, for the memory of each process; then again when all clips are done.
set -euo pipefail
cd "$(dirname "$0")/.."
counts=("$@")
[ $# -gt 0 ] || counts=(1000 10000)
cargo build --quiet --release --bin oppose-native --example test_material
program=$PWD/target/release/oppose-native
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
target/release/examples/test_material models "$folder/models" small
ffmpeg -v error -f lavfi -i testsrc2=size=64x64:rate=25 -frames:v 5 -c:v libx264 -pix_fmt yuv420p "$folder/clip.mp4"
options=(--engine native --device cpu --threads 1 --model-folder "$folder/models" --net_resolution -1x16 --no-face
    --no-hand --max-people 1 --progress none)

# Runs the program; prints the seconds, and the peak memory of the process and of its largest worker in kB.
measured() {
    local start=$EPOCHREALTIME pid process peak=0 workers=0 kilobytes
    "$program" "${options[@]}" "$@" 2>>"$folder/log" &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        for process in "$pid" $(cat "/proc/$pid/task/$pid/children" 2>/dev/null); do
            kilobytes=$(awk '/VmHWM/ { print $2 }' "/proc/$process/status" 2>/dev/null) || continue
            if [ "$process" = "$pid" ]; then
                peak=${kilobytes:-$peak}
            elif [ "${kilobytes:-0}" -gt "$workers" ]; then
                workers=$kilobytes
            fi
        done
        sleep 0.1
    done
    wait "$pid"
    echo "$EPOCHREALTIME $start $peak $workers" | awk '{ printf "%.2f %d %d", $1 - $2, $3, $4 }'
}

for count in "${counts[@]}"; do
    mkdir "$folder/clips"
    for ((clip = 0; clip < count; clip++)); do cp "$folder/clip.mp4" "$folder/clips/$clip.mp4"; done
    ffmpeg -v error -stream_loop $((count - 1)) -i "$folder/clip.mp4" -c copy "$folder/long.mp4"
    # The long video runs before and after the clips, so that other load on the machine affects both.
    read -r long _ _ <<<"$(measured "$folder/long.mp4" -o "$folder/long.pose")"
    read -r clips memory _ <<<"$(measured "$folder/clips" -o "$folder/one")"
    read -r again _ _ <<<"$(measured "$folder/long.mp4" -o "$folder/long.pose" --overwrite)"
    read -r workers supervisor worker <<<"$(measured "$folder/clips" -o "$folder/two" --workers 2)"
    read -r nothing _ _ <<<"$(measured "$folder/clips" -o "$folder/two" --workers 2)"
    echo "$count $long $again $clips $memory $workers $supervisor $worker $nothing" | awk '{
        printf "%d clips of 5 frames: %.1f s; as one video %.1f and %.1f s: %.2f ms overhead per clip; %.0f MB\n",
            $1, $4, $2, $3, ($4 - ($2 + $3) / 2) / $1 * 1000, $5 / 1000
        printf "  two workers: %.1f s, supervisor %.0f MB, worker %.0f MB; again when all are done: %.2f s\n",
            $6, $7 / 1000, $8 / 1000, $9 }'
    rm -r "$folder/clips" "$folder/one" "$folder/two" "$folder/long.mp4" "$folder/long.pose"
done
