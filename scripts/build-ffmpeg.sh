#!/usr/bin/env bash
# Builds a small FFmpeg from source as static libraries: every demuxer and decoder, and the encoders that `render` needs.
# The libraries that it uses are built from source too, because the system's would tie the program to that system.
#
#   scripts/build-ffmpeg.sh FOLDER                   installs into this folder
#   scripts/build-ffmpeg.sh FOLDER --without-x264    without H.264 encoding: under the LGPL instead of the GPL
#
# CC, AR and RANLIB are respected; scripts/portable-toolchain.sh sets them. FFMPEG_SOURCES=FOLDER holds the sources that
# scripts/ffmpeg-sources.sha256 lists; without it they are fetched. Does nothing if FOLDER is up to date.
set -euo pipefail
usage="expected a folder, then nothing or --without-x264"
prefix=$(realpath -m -- "${1:?build-ffmpeg: $usage}")
sources=$(realpath -m -- "${FFMPEG_SOURCES:-$prefix.sources}")
cd "$(dirname "$0")/.."
sums=$PWD/scripts/ffmpeg-sources.sha256
export CC=${CC:-cc} AR=${AR:-ar} RANLIB=${RANLIB:-ranlib}

libraries=(zlib bzip2 dav1d opus libvpx)
encoders=aac,gif,libopus,libvpx_vp8,libvpx_vp9
muxers=gif,matroska,mov,mp4,webm
options=()
case "${2:-}" in
    '')
        libraries+=(x264)
        encoders+=,libx264
        options+=(--enable-gpl --enable-libx264)
        ;;
    --without-x264) ;;
    *) echo "build-ffmpeg: $2: $usage" >&2; exit 2 ;;
esac
# The libraries are for compressed headers, PNG, AV1 and what `render` writes. No network and no devices: the only protocols
# are files and pipes.
options+=("--prefix=$prefix" --enable-pic --disable-autodetect --disable-programs --disable-doc --disable-debug
    --disable-network --disable-avdevice --disable-avfilter --disable-devices --disable-filters --disable-hwaccels
    --disable-protocols --enable-protocol=file --enable-protocol=pipe
    --disable-encoders "--enable-encoder=$encoders" --disable-muxers "--enable-muxer=$muxers"
    --enable-bzlib --enable-zlib --enable-libdav1d --enable-libopus --enable-libvpx)

recipe="$(sha256sum scripts/{build-ffmpeg.sh,ffmpeg-sources.sha256,portable-toolchain.requirements.txt}) $CC ${options[*]}"
if [ "$(cat "$prefix/recipe" 2>/dev/null)" = "$recipe" ]; then
    exit 0
fi
scripts/fetch-ffmpeg-sources.sh "$sources"
work=$prefix.building
trap 'rm -rf "$work"' EXIT
rm -rf "$work" "$prefix"
mkdir -p "$work" "$prefix/lib/pkgconfig" "$prefix/licences"
# Finds only what is built here, never a library of this system.
export PKG_CONFIG_LIBDIR=$prefix/lib/pkgconfig
export CFLAGS="-O2 -fPIC"
jobs=$(nproc)

# Unpacks a library's source and changes to its folder.
enter() {
    mkdir "$work/$1"
    tar --extract --file "$(echo "$sources/$1"_*.orig.tar.*z)" --directory "$work/$1" --strip-components 1
    cd "$work/$1"
    echo "Building $1"
}
quietly() { "$@" > "$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; exit 1; }; }

build_zlib() {
    quietly ./configure --static --prefix="$prefix"
    quietly make --jobs "$jobs" install
}
build_bzip2() {
    quietly make --jobs "$jobs" "CC=$CC" "AR=$AR" "RANLIB=$RANLIB" "CFLAGS=$CFLAGS -D_FILE_OFFSET_BITS=64" libbz2.a
    install -m 644 libbz2.a "$prefix/lib"
    install -m 644 bzlib.h "$prefix/include"
}
build_dav1d() {
    quietly meson setup build --prefix "$prefix" --libdir lib --buildtype release --default-library static \
        -Denable_tools=false -Denable_tests=false
    quietly ninja -C build install
}
build_opus() {
    quietly ./configure --prefix="$prefix" --disable-shared --enable-static --with-pic --disable-doc \
        --disable-extra-programs
    quietly make --jobs "$jobs" install
}
build_libvpx() {
    LD=$CC AS=nasm quietly ./configure --prefix="$prefix" --target=x86_64-linux-gcc --enable-pic --disable-examples \
        --disable-tools --disable-docs --disable-unit-tests
    # The library contains this text, which is not to depend on where it was built.
    sed -i "s|$prefix|/usr|g" vpx_config.c
    quietly make --jobs "$jobs" install
}
build_x264() {
    quietly ./configure --prefix="$prefix" --enable-static --enable-pic --disable-cli --disable-opencl
    quietly make --jobs "$jobs" install
}
for library in "${libraries[@]}"; do
    enter "$library"
    "build_$library"
    mkdir "$prefix/licences/$library"
    find . -maxdepth 1 \( -name 'COPYING*' -o -name 'LICENSE*' -o -name PATENTS \) \
        -exec cp {} "$prefix/licences/$library/" \;
done

enter ffmpeg
quietly ./configure "${options[@]}" "--cc=$CC" "--ar=$AR" "--ranlib=$RANLIB" --pkg-config-flags=--static \
    "--extra-cflags=-I$prefix/include" "--extra-ldflags=-L$prefix/lib"
# Old C libraries have this function, but zig's headers for them do not.
sed -i 's/^#define HAVE_SYSCTL 1/#define HAVE_SYSCTL 0/' config.h
# FFmpeg, too, contains the options that it was configured with.
sed -i "s|$prefix|/usr|g" config.h
quietly make --jobs "$jobs" install
mkdir "$prefix/licences/ffmpeg"
cp LICENSE.md COPYING.* "$prefix/licences/ffmpeg/"
{
    echo "Built from these sources, unchanged, which Debian 13 publishes (apt-get source):"
    for library in ffmpeg "${libraries[@]}"; do
        sed -n "s/^\([0-9a-f]*\) *\(${library}_.*\)/  \2, SHA-256 \1/p" "$sums"
    done
    echo "FFmpeg was configured with"
    printf '  %s\n' "${options[@]}" | grep -v -e --prefix
} > "$prefix/licences/README"
echo "$recipe" > "$prefix/recipe"
