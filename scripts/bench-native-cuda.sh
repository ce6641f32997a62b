#!/usr/bin/env bash
# The speed of the engine `native` on a GPU (whole program, full-size nets), and how it depends on the number of people, the
# frame size, the batch and the precision. Frames per second from requesting the first frame to the finished file,
# median of three runs. Start-up (loading the nets) happens once for any number of videos, and is reported separately.
#
#   scripts/bench-native-cuda.sh prepare FOLDER    draws the videos and creates the models (needs Rust and ffmpeg)
#   scripts/bench-native-cuda.sh run FOLDER [PRECISION]
#                                                  measures (needs a GPU; PROGRAM defaults to target/release/oppose-native)
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$2 precision=${3:-fp16x3} program=${PROGRAM:-target/release/oppose-native}

# Number of people, frame size, further options. A net that sees the drawn people larger than it was made for finds several
# people in each.
videos="0 1104x624
1 1104x624
2 1104x624
5 1104x624
10 1104x624
1 240x352 --number_people_max 1
1 640x480
1 1280x720
1 1920x1080"

prepare() {
    cargo build --quiet --release --bin oppose-native --example test_material
    mkdir -p "$folder"
    while read -r people size _; do
        target/release/examples/test_material people "$people" "$size" 600 |
            ffmpeg -v error -y -f rawvideo -pix_fmt bgr24 -s "$size" -r 30 -i - -c:v libx264rgb -qp 0 \
                -preset veryfast "$folder/$people-$size.mkv"
    done <<< "$videos"
    # A clip of four seconds, for a folder of short clips.
    ffmpeg -v error -y -i "$folder/1-640x480.mkv" -frames:v 120 -c copy "$folder/clip.mkv"
    [ -e "$folder/models" ] || target/release/examples/test_material models "$folder/models" meaningful
}

estimate() {
    "$program" "$@" --engine native --device cuda --precision "$precision" --model-folder "$folder/models" --overwrite \
        --progress json
}

# Reads the program's JSON lines; prints the frames per second over all videos.
speed() {
    grep '"seconds":' | sed 's/.*"frames":\([0-9]*\).*"seconds":\([0-9.e-]*\).*/\1 \2/' |
        awk '{ frames += $1; seconds += $2 } END { printf "%.1f\n", frames / seconds }'
}

# Takes a video and options; prints a row of the table.
row() {
    for _ in 1 2 3; do estimate "$folder/$1.mkv" -o "$scratch/out.pose" "${@:2}" 2> "$scratch/log" | speed; done | sort -n |
        awk -v row="${1/-/ | } | ${*:2}" '{ s[NR] = $1 } END { printf "| %s | %.0f |\n", row, s[2] }'
}

run() {
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    echo "| people | frame | options | frames per second |"
    echo "| ---: | --- | --- | ---: |"
    while read -r people size options; do
        # shellcheck disable=SC2086 # $options holds several words.
        row "$people-$size" $options
    done <<< "$videos"
    row 1-640x480 --no-face
    row 1-640x480 --no-face --no-hand
    for batch in 1 2 4 8 16 31 32; do row 1-640x480 --batch "$batch"; done

    count=${CLIPS:-500}
    mkdir "$scratch/clips"
    for ((clip = 0; clip < count; clip++)); do ln -s "$(realpath "$folder/clip.mkv")" "$scratch/clips/$clip.mkv"; done
    start=$EPOCHREALTIME
    estimate "$folder/clip.mkv" -o "$scratch/out.pose" > "$scratch/one"
    one=$(echo "$EPOCHREALTIME $start" | awk '{ print $1 - $2 }')
    start=$EPOCHREALTIME
    estimate "$scratch/clips" -o "$scratch/poses" > "$scratch/all"
    all=$(echo "$EPOCHREALTIME $start" | awk '{ print $1 - $2 }')
    long=$(estimate "$folder/1-640x480.mkv" -o "$scratch/out.pose" | speed)
    echo "$one $all $long $count $(find "$scratch/poses" -name '*.pose' | wc -l)" | awk '{
        printf "\none clip, start-up included: %.2f s; %d clips of 120 frames: %.1f s (%d files), %.0f frames per second\n",
            $1, $4, $2, $5, $4 * 120 / $2
        printf "computation alone, at the speed of a long video (%.0f): %.1f s, %.2f of the total\n", $3, $4 * 120 / $3, $4 * 120 / $3 / $2
    }'
}

"$1"
