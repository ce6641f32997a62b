#!/usr/bin/env bash
# Builds a small FFmpeg as static libraries, from its source: every demuxer and decoder, and what `render` writes.
#
#   scripts/build-ffmpeg.sh FOLDER                   into this folder
#   scripts/build-ffmpeg.sh FOLDER --without-x264    without H.264 encoding: under the LGPL instead of the GPL
#
# FFMPEG_SOURCE=FOLDER takes the source from there instead of fetching it. What has been built is not built again.
set -euo pipefail
usage="expected a folder, then nothing or --without-x264"
prefix=$(realpath -m -- "${1:?build-ffmpeg: $usage}")
cd "$(dirname "$0")/.."

version=7.1.5
sha256=de668509caf9e35e3cd162473441fdb29538c6d96ed080292b3cf9e6fc5d558f
url=https://ffmpeg.org/releases/ffmpeg-$version.tar.xz

# Static libraries of the system: for AV1, VP8 and VP9, Opus, compressed headers and PNG.
libraries=(libaom libbz2 libopus libvpx libz)
encoders=aac,gif,libopus,libvpx_vp8,libvpx_vp9
muxers=gif,matroska,mov,mp4,webm
options=()
case "${2:-}" in
    '')
        libraries+=(libx264)
        encoders+=,libx264
        options+=(--enable-gpl --enable-libx264)
        ;;
    --without-x264) ;;
    *) echo "build-ffmpeg: $2: $usage" >&2; exit 2 ;;
esac
# No network and no devices: only what reads files and pipes.
options+=("--prefix=$prefix" --enable-pic --disable-autodetect --disable-programs --disable-doc --disable-debug
    --disable-network --disable-avdevice --disable-avfilter --disable-devices --disable-filters --disable-hwaccels
    --disable-protocols --enable-protocol=file --enable-protocol=pipe
    --disable-encoders "--enable-encoder=$encoders" --disable-muxers "--enable-muxer=$muxers"
    --enable-bzlib --enable-zlib --enable-libaom --enable-libopus --enable-libvpx)

recipe="${FFMPEG_SOURCE:-$url} ${options[*]}"
if [ "$(cat "$prefix/recipe" 2>/dev/null)" = "$recipe" ]; then
    exit 0
fi
work=$prefix.building
trap 'rm -rf "$work"' EXIT
rm -rf "$work"
mkdir -p "$work/build"
if [ -n "${FFMPEG_SOURCE:-}" ]; then
    source=$(realpath -- "$FFMPEG_SOURCE")
    [ -x "$source/configure" ] || {
        echo "build-ffmpeg: FFMPEG_SOURCE=$FFMPEG_SOURCE: expected FFmpeg's source there, found no configure" >&2
        exit 2
    }
else
    source=$work/ffmpeg-$version
    curl --fail --silent --show-error --location --output "$source.tar.xz" "$url"
    echo "$sha256  $source.tar.xz" | sha256sum --check --quiet
    tar --extract --file "$source.tar.xz" --directory "$work"
fi

echo "Building FFmpeg $(cat "$source/RELEASE")"
rm -rf "$prefix"
cd "$work/build"
"$source/configure" --quiet "${options[@]}"
make --silent --jobs "$(nproc)" install
# Beside FFmpeg's own: cargo links statically only what is in a folder that is not the system's.
for library in "${libraries[@]}"; do
    ln -s "$(cc -print-file-name="$library.a")" "$prefix/lib/"
done
mkdir "$prefix/licences"
cp "$source"/LICENSE.md "$source"/COPYING.* "$prefix/licences/"
{
    echo "FFmpeg $(cat "$source/RELEASE"), unchanged: ${url%/*}/ffmpeg-$(cat "$source/RELEASE").tar.xz, configured with"
    printf '  %s\n' "${options[@]}" | grep -v -e --prefix
} > "$prefix/licences/README"
echo "$recipe" > "$prefix/recipe"
