#!/usr/bin/env bash
# Builds a small FFmpeg from source as static libraries: every demuxer and decoder, and the encoders that `render` needs.
#
#   scripts/build-ffmpeg.sh FOLDER                   installs into this folder
#   scripts/build-ffmpeg.sh FOLDER --without-x264    without H.264 encoding: under the LGPL instead of the GPL
#
# FFMPEG_SOURCE=FOLDER uses the source there instead of downloading it. Does nothing if FOLDER is up to date.
set -euo pipefail
usage="expected a folder, then nothing or --without-x264"
prefix=$(realpath -m -- "${1:?build-ffmpeg: $usage}")
cd "$(dirname "$0")/.."

version=7.1.5
sha256=de668509caf9e35e3cd162473441fdb29538c6d96ed080292b3cf9e6fc5d558f
url=https://ffmpeg.org/releases/ffmpeg-$version.tar.xz

# The system's static libraries: for AV1, compressed headers, Opus, VP8 and VP9, and PNG.
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
# No network and no devices: only protocols that read files and pipes.
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
        echo "build-ffmpeg: FFMPEG_SOURCE=$FFMPEG_SOURCE: expected FFmpeg's source there, but there is no configure" >&2
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
# Linked beside FFmpeg's own, because cargo links a library statically only if its folder is not one of the system's.
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
