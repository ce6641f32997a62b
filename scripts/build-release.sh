#!/usr/bin/env bash
# Builds an archive for machines without FFmpeg: the program with a small FFmpeg linked in, manual pages, completions, and
# the licences of everything in it.
#
#   scripts/build-release.sh                   can write H.264; x264 puts the program as a whole under the GPL
#   scripts/build-release.sh --without-x264    writes VP9 and GIF only; FFmpeg's part is under the LGPL
#
# The program needs a C library at least as new as the one here, so build on an old system. See docs/prebuilt.md.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(libaom-dev libbz2-dev libopus-dev libvpx-dev zlib1g-dev)
case "${1:-}" in
    '')
        kind=
        packages+=(libx264-dev)
        terms="as a whole is under the GNU General Public License, version 2 or later, because it contains x264"
        ;;
    --without-x264)
        kind=-without-x264
        terms="contains FFmpeg, which is under the GNU Lesser General Public License, version 2.1 or later"
        ;;
    *) echo "build-release: $1: expected nothing or --without-x264" >&2; exit 2 ;;
esac

scripts/install-packages.sh release
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
work=$(realpath -m -- "${CARGO_TARGET_DIR:-target}/prebuilt")
ffmpeg=$work/ffmpeg$kind
scripts/build-ffmpeg.sh "$ffmpeg" "$@"
export PKG_CONFIG_PATH=$ffmpeg/lib/pkgconfig
# Cargo does not notice that FFmpeg was rebuilt in the same folder, so discard what it built from the old one.
[ "$ffmpeg/recipe" -ot "$work/release/oppose-native" ] ||
    cargo clean --quiet --release --package ffmpeg-sys-next --target-dir "$work"
cargo build --release --locked --features static-ffmpeg --target-dir "$work" --bin oppose-native \
    --example compile_kernels

program=$work/release/oppose-native
strangers=$(readelf --dynamic "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -vxE 'lib(c|m|dl|rt|pthread|gcc_s)\.so\.[0-9]+|ld-linux-.*' || true)
if [ -n "$strangers" ]; then
    echo "build-release: the program needs libraries that some systems lack:" "$strangers" >&2
    exit 1
fi

version=$("$program" --version | cut -d ' ' -f 2)
name=oppose-native-$version-$(uname -m)-linux$kind
folder=$work/$name
licences=$folder/licences
rm -rf "$folder"
mkdir -p "$folder/scripts" "$folder/completions" "$licences/crates"
cp "$program" README.md CHANGELOG.md CITATION.cff LICENSE-MIT LICENSE-APACHE "$folder/"
cp -r docs "$folder/"
# The program looks for them beside itself, and needs no compiler then.
COMPILE_KERNELS=$work/release/examples/compile_kernels scripts/build-kernels.sh "$folder/kernels"
cp scripts/fetch-models.sh scripts/models.* scripts/models-npm.sha256 "$folder/scripts/"
"$program" generate man --output "$folder/man"
for shell in bash zsh fish; do
    "$program" generate "$shell" --output "$folder/completions/oppose-native.$shell"
done

cp -r "$ffmpeg/licences" "$licences/ffmpeg"
for package in "${packages[@]}"; do
    cp "/usr/share/doc/$package/copyright" "$licences/$package"
done
cargo tree --locked --edges normal --prefix none --format '{p} {l}' --features static-ffmpeg |
    sed 's/ (\*)$//; s/ (proc-macro)//' | grep -v '^oppose[ -]' | sort -u > "$licences/crates.txt"
while read -r crate number _; do
    for licence in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$crate-${number#v}"/{LICEN[CS]E,COPYING,NOTICE}*; do
        [ -f "$licence" ] || continue
        mkdir -p "$licences/crates/$crate"
        cp "$licence" "$licences/crates/$crate/"
    done
done < "$licences/crates.txt"
cat > "$licences/README" <<END
This program $terms.
Its own source is under MIT or Apache-2.0, at your option.

Components, and where to get their source:
  oppose $version, commit $(git describe --always --dirty --abbrev=40 2>/dev/null || echo unknown); its
    scripts/build-release.sh made this archive
  $(sed '1s/, configured with/; configured as ffmpeg\/README says/; q' "$licences/ffmpeg/README")
$(dpkg-query --show --showformat '  ${source:Package} ${source:Version}, of Debian or Ubuntu: apt-get source\n' "${packages[@]}")
  the crates in crates.txt: https://crates.io
  Rust's standard library: https://github.com/rust-lang/rust, MIT or Apache-2.0
END

time=$(git log -1 --format=%ct 2>/dev/null || date +%s)
tar --create --directory "$work" --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner "$name" |
    gzip --no-name --best > "$folder.tar.gz"
glibc=$(objdump --dynamic-syms "$program" | grep -o 'GLIBC_[0-9.]*' | sort --version-sort | tail -n 1)
echo "$folder.tar.gz"
echo "  the program is $(($(stat --format %s "$program") / 1000000)) MB and needs only glibc ${glibc#GLIBC_} or later"
