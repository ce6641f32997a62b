#!/usr/bin/env bash
# Builds the program for Linux on aarch64 (Graviton, Grace, Ampere, Raspberry Pi) on Debian or Ubuntu for x86_64, and prints
# its path. On an aarch64 machine, use scripts/setup.sh as on any other.
#
#   scripts/build-aarch64.sh [CARGO BUILD OPTION...]
#
# Needs the packages of both architectures:
#
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install gcc g++ gcc-aarch64-linux-gnu libc6-dev:arm64 libclang-dev libavcodec-dev:arm64 \
#       libavformat-dev:arm64 libavutil-dev:arm64 libswresample-dev:arm64 libswscale-dev:arm64
#   rustup target add aarch64-unknown-linux-gnu
#
# The models of the engine holistic have a runtime for each architecture:
# OPPOSE_ARCHITECTURE=aarch64 scripts/fetch-models.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."

target=aarch64-unknown-linux-gnu
libraries=/usr/lib/aarch64-linux-gnu
command -v aarch64-linux-gnu-gcc >/dev/null || {
    echo "build-aarch64: there is no aarch64-linux-gnu-gcc; install the packages that this script names at its beginning" >&2
    exit 2
}
[ -e "$libraries/libavcodec.so" ] || {
    echo "build-aarch64: there is no $libraries/libavcodec.so; install the packages that this script names at its beginning" >&2
    exit 2
}
# The build runs a check of FFmpeg's features on this machine, so it needs FFmpeg's headers without the C library's headers
# for aarch64, which are in the same folder.
ffmpeg=$(realpath -m -- "${CARGO_TARGET_DIR:-target}/ffmpeg-aarch64")
mkdir -p "$ffmpeg/include"
ln -sfn "$libraries" "$ffmpeg/lib"
for headers in /usr/include/aarch64-linux-gnu/lib{av,sw}*; do
    ln -sfn "$headers" "$ffmpeg/include/$(basename "$headers")"
done
export FFMPEG_DIR=$ffmpeg
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export BINDGEN_EXTRA_CLANG_ARGS="--target=aarch64-linux-gnu -I/usr/include/aarch64-linux-gnu"
cargo build --release --locked --target "$target" --bin oppose-native "$@"
echo "${CARGO_TARGET_DIR:-target}/$target/release/oppose-native"
