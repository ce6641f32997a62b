#!/usr/bin/env bash
# From a bare machine to a first .pose file: installs what is missing, fetches the models, builds, and turns
# a video into a .pose file and a picture of it.
#
#   scripts/setup.sh            with the sample of this repository
#   scripts/setup.sh VIDEO      with your own video
set -euo pipefail
video=$(realpath -- "${1:-$(dirname "$0")/../assets/sample.mp4}")
[ -f "$video" ] || { echo "setup: $video: no such file; give the path of a video" >&2; exit 2; }
cd "$(dirname "$0")/.."

scripts/install-packages.sh build
# rustup leaves cargo here; a new shell would find it, this one has to be told.
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
  $output/$name.pose    keypoints of every frame
  $output/$name.png     a look at them
The program: $PWD/target/release/oppose-native (try --help)
END
