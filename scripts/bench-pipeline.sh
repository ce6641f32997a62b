#!/usr/bin/env bash
# Decoding and writing alone (with an engine that finds no people) against the ffmpeg program, which decodes and discards the
# frames, in alternating runs on one clip of 640x480 H.264.
#
#   scripts/bench-pipeline.sh [VIDEO] [RUNS]      default: the sample, repeated; 7 runs
set -euo pipefail
cd "$(dirname "$0")/.."
video=${1:-assets/sample.mp4} runs=${2:-7}
cargo build --quiet --release --example own_engine
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ffmpeg -v error -stream_loop 60 -i "$video" -t 120 -vf scale=640:480 -r 30 -pix_fmt yuv420p -c:v libx264 "$folder/clip.mp4"
seconds() {
    local start=$EPOCHREALTIME
    "$@" >/dev/null
    echo "$EPOCHREALTIME $start" | awk '{ printf "%.3f", $1 - $2 }'
}
ours() { target/release/examples/own_engine "$folder/clip.mp4" "$folder/clip.pose"; }
theirs() { ffmpeg -v error -i "$folder/clip.mp4" -f null -; }
ours >/dev/null
theirs
frames=$(ffprobe -v error -select_streams v:0 -show_entries stream=nb_frames -of csv=p=0 "$folder/clip.mp4")
for _ in $(seq "$runs"); do
    echo "$(seconds ours) $(seconds theirs)"
done | tee "$folder/times" | awk -v n="$frames" '{ printf "oppose %.0f fps, ffmpeg -f null %.0f fps, ratio %.3f\n", n/$1, n/$2, $2/$1 }'
awk '{ print $2 / $1 }' "$folder/times" | sort -n | awk '{ r[NR] = $1 } END { printf "median ratio %.3f (%.3f to %.3f)\n", r[int((NR+1)/2)], r[1], r[NR] }'
