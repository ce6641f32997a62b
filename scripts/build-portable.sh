#!/usr/bin/env bash
# Builds what the archive and the Python package have in common: the program with FFmpeg linked in, which runs on every Linux
# with glibc 2.28 or later, and the compiled kernels for GPUs.
#
#   scripts/build-portable.sh [--without-x264]      prints shell assignments for `eval`, with all paths
set -euo pipefail
cd "$(dirname "$0")/.."
case "${1:-}" in
    '') kind= ;;
    --without-x264) kind=-without-x264 ;;
    *) echo "build-portable: $1: expected nothing or --without-x264" >&2; exit 2 ;;
esac
{
    scripts/install-packages.sh release
    export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
    work=$(realpath -m -- "${CARGO_TARGET_DIR:-target}/prebuilt")
    ffmpeg=$work/ffmpeg$kind
    tools=$(scripts/portable-toolchain.sh "$work/tools")
    eval "$tools"
    FFMPEG_SOURCES=${FFMPEG_SOURCES:-$work/sources} scripts/build-ffmpeg.sh "$ffmpeg" "$@"
    # Finds only the FFmpeg built here, never that of this system. Each kind has its own folder because cargo does not notice
    # that FFmpeg has changed.
    export PKG_CONFIG_LIBDIR=$ffmpeg/lib/pkgconfig CARGO_TARGET_DIR=$work/cargo$kind
    # Messages of panics name source files; what is published should not name folders of this machine.
    registry=${CARGO_HOME:-$HOME/.cargo}/registry/src
    export CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$registry=/registry"
    # Runs elsewhere because zig gives relative paths for those of its headers that are below the current folder, and these
    # mean nothing to build scripts.
    manifest=$PWD/Cargo.toml
    (cd "$ffmpeg" && cargo zigbuild --manifest-path "$manifest" --release --locked --features static-ffmpeg \
        --target "$PORTABLE_TARGET" --bin oppose-native --example compile_kernels)
    built=$CARGO_TARGET_DIR/${PORTABLE_TARGET%.2.*}/release
    # Compiling the kernels takes minutes, and they change only with the program that compiles them.
    compiler=$(sha256sum < "$built/examples/compile_kernels")
    if [ "$(cat "$work/kernels.compiler" 2>/dev/null)" != "$compiler" ]; then
        rm -rf "$work/kernels"
        COMPILE_KERNELS=$built/examples/compile_kernels scripts/build-kernels.sh "$work/kernels"
        echo "$compiler" > "$work/kernels.compiler"
    fi

    program=$built/oppose-native
    unexpected=$(readelf --dynamic "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -vxE 'lib(c|m|dl|rt|pthread|gcc_s)\.so\.[0-9]+|ld-linux-.*' || true)
    if [ -n "$unexpected" ]; then
        echo "build-portable: the program needs libraries that some systems lack:" "$unexpected" >&2
        exit 1
    fi
    if grep --quiet --text --fixed-strings -e "$registry" -e "$work" "$program"; then
        echo "build-portable: the program contains paths of this machine: $registry or $work" >&2
        exit 1
    fi
    wanted=${PORTABLE_TARGET##*gnu.}
    glibc=$(objdump --dynamic-syms "$program" | grep -o 'GLIBC_[0-9.]*' | sort --version-sort | tail -n 1)
    if [ "$(printf '%s\n' "$wanted" "${glibc#GLIBC_}" | sort --version-sort | tail -n 1)" != "$wanted" ]; then
        echo "build-portable: the program needs glibc ${glibc#GLIBC_}, which is newer than $wanted" >&2
        exit 1
    fi
} >&2
echo "$tools"
# Only new shells find the cargo that rustup has just installed.
cat <<END
export PATH=\$PATH:$(printf %q "${CARGO_HOME:-$HOME/.cargo}/bin")
export PKG_CONFIG_LIBDIR=$(printf %q "$PKG_CONFIG_LIBDIR") CARGO_TARGET_DIR=$(printf %q "$CARGO_TARGET_DIR")
export CARGO_ENCODED_RUSTFLAGS=$(printf %q "$CARGO_ENCODED_RUSTFLAGS")
work=$(printf %q "$work") ffmpeg=$(printf %q "$ffmpeg") program=$(printf %q "$program") glibc=${glibc#GLIBC_} kind=$kind
END
