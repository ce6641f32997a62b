#!/usr/bin/env bash
# Builds the Python package: the program, the module, FFmpeg, LiteRT, the nets of the engine `holistic` and the kernels for
# GPUs in one wheel for CPython 3.9 or later and every Linux on x86-64 with glibc 2.28 or later. See docs/python.md.
#
#   scripts/build-wheel.sh      writes target/wheel/oppose_native-VERSION-cp39-abi3-manylinux_2_28_x86_64.whl
# shellcheck disable=SC2154 # scripts/build-portable.sh sets work, ffmpeg, program, glibc and kind.
set -euo pipefail
cd "$(dirname "$0")/.."
output=$(realpath -m -- "${CARGO_TARGET_DIR:-target}/wheel")
# Without x264, because a plain `pip install` should not put the user under the GPL.
built=$(scripts/build-portable.sh --without-x264)
eval "$built"
scripts/fetch-models.sh

# The files that maturin includes in addition to the package's own.
package=crates/oppose-python
rm -rf "$package"/python/oppose/{bin,models} "$package/licences" "$package/sbom"
install -D "$program" "$package/python/oppose/bin/oppose-native"
cp -r "$work/kernels" "$package/python/oppose/bin/kernels"
mkdir -p "$package/python/oppose/models/holistic" "$package/sbom"
while read -r _ file; do
    install -m 644 "models/holistic/$file" "$package/python/oppose/models/holistic/"
done < <(cat scripts/models.sha256 scripts/models-npm.sha256)
scripts/collect-licences.sh "$package/licences" "$ffmpeg" --with-models
python3 scripts/sbom.py --without-x264 --with-models --python > "$package/sbom/oppose.cdx.json"

rm -rf "$output"
# scripts/build-portable.sh explains why it runs there.
manifest=$PWD/$package/Cargo.toml
(cd "$ffmpeg" && maturin build --release --locked --zig --compatibility manylinux_2_28 --target "${PORTABLE_TARGET%.2.*}" \
    --manifest-path "$manifest" --sbom-include sbom/oppose.cdx.json --out "$output")
wheel=$(echo "$output"/oppose_native-*.whl)
size=$(stat --format %s "$wheel")
if [ "$size" -ge 100000000 ]; then
    echo "build-wheel: $wheel has $((size / 1000000)) MB; the index takes less than 100" >&2
    exit 1
fi
echo "$wheel"
echo "  $((size / 1000000)) MB; the program needs glibc $glibc"
