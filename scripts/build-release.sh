#!/usr/bin/env bash
# Builds an archive for machines without FFmpeg and Python: the program with a small FFmpeg linked in, manual pages,
# completions, a software bill of materials (SBOM) and all licences. The program needs glibc 2.28 or later.
#
#   scripts/build-release.sh                   can write H.264; x264 puts the program as a whole under the GPL
#   scripts/build-release.sh --without-x264    writes VP9 and GIF only; FFmpeg's part is under the LGPL
#   scripts/build-release.sh --with-models     with LiteRT and the nets of the engine holistic; goes with either
#
# See docs/prebuilt.md.
# shellcheck disable=SC2154 # scripts/build-portable.sh sets work, ffmpeg, program, glibc and kind.
set -euo pipefail
cd "$(dirname "$0")/.."

x264=() models=()
for option in "$@"; do
    case "$option" in
        --without-x264) x264=("$option") ;;
        --with-models) models=("$option") ;;
        *) echo "build-release: $option: expected --without-x264, --with-models or both" >&2; exit 2 ;;
    esac
done
built=$(scripts/build-portable.sh "${x264[@]}")
eval "$built"

version=$("$program" --version | cut -d ' ' -f 2)
name=oppose-native-$version-$(uname -m)-linux$kind${models:+-with-models}
folder=$work/$name
rm -rf "$folder"
mkdir -p "$folder/scripts" "$folder/completions"
cp "$program" README.md CHANGELOG.md CITATION.cff LICENSE-MIT LICENSE-APACHE "$folder/"
cp -r docs "$folder/"
# The program finds the kernels beside itself, and then needs no compiler.
cp -r "$work/kernels" "$folder/kernels"
cp scripts/fetch-models.sh scripts/models.* scripts/models-npm.sha256 "$folder/scripts/"
if [ ${#models[@]} -gt 0 ]; then
    scripts/fetch-models.sh
    mkdir -p "$folder/models/holistic"
    while read -r _ file; do
        install -m 644 "models/holistic/$file" "$folder/models/holistic/"
    done < <(cat scripts/models.sha256 scripts/models-npm.sha256)
fi
"$program" generate man --output "$folder/man"
for shell in bash zsh fish; do
    "$program" generate "$shell" --output "$folder/completions/oppose-native.$shell"
done
scripts/collect-licences.sh "$folder/licences" "$ffmpeg" "${models[@]}"
python3 scripts/sbom.py "${x264[@]}" "${models[@]}" > "$folder/sbom.cdx.json"
(cd "$folder" && find . -type f ! -name SHA256SUMS -printf '%P\0' | sort --zero-terminated |
    xargs --null sha256sum > "$work/SHA256SUMS" && mv "$work/SHA256SUMS" .)

time=$(git log -1 --format=%ct 2>/dev/null || date +%s)
tar --create --directory "$work" --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner "$name" |
    gzip --no-name --best > "$folder.tar.gz"
(cd "$work" && sha256sum "$name.tar.gz" > "$name.tar.gz.sha256")
echo "$folder.tar.gz"
echo "  the program is $(($(stat --format %s "$program") / 1000000)) MB and needs only glibc $glibc or later"
