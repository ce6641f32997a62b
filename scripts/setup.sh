#!/usr/bin/env bash
# From a bare machine to a first .pose file: installs what is missing, downloads the models, builds the program, and turns a
# video into a .pose file and a contact sheet.
#
#   scripts/setup.sh            uses the sample in this repository
#   scripts/setup.sh VIDEO      uses your own video
set -euo pipefail
video=$(realpath -- "${1:-$(dirname "$0")/../assets/sample.mp4}")
[ -f "$video" ] || { echo "setup: $video: no such file; give the path of a video" >&2; exit 2; }
cd "$(dirname "$0")/.."

scripts/install-packages.sh build
# rustup installs cargo here. New shells find it; this one does not yet.
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
scripts/fetch-models.sh
cargo build --release --locked

output=$PWD/output
mkdir -p "$output"
name=$(basename -- "${video%.*}")
target/release/oppose-native "$video" --output "$output/$name.pose" --overwrite
target/release/oppose-native render "$video" "$output/$name.pose" --sheet "$output/$name.png"
cat <<END

Done. Your files:
  $output/$name.pose    the keypoints of every frame
  $output/$name.png     a contact sheet: frames with the keypoints drawn on them
The program is $PWD/target/release/oppose-native (try --help).
END
