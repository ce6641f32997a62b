#!/usr/bin/env bash
# Collects the licences of everything in a portable program, and lists where to get the source of each part.
#
#   scripts/collect-licences.sh FOLDER FFMPEG [--with-models]      FFMPEG: the folder that scripts/build-ffmpeg.sh installs into
set -euo pipefail
licences=$(realpath -m -- "$1") ffmpeg=$(realpath -- "$2") models=${3:-}
cd "$(dirname "$0")/.."
if [ -e "$ffmpeg/licences/x264" ]; then
    terms="as a whole is under the GNU General Public License, version 2 or later, because it contains x264"
else
    terms="contains FFmpeg, which is under the GNU Lesser General Public License, version 2.1 or later"
fi
rm -rf "$licences"
mkdir -p "$licences/crates"
cp LICENSE-MIT LICENSE-APACHE "$licences/"
cp -r "$ffmpeg/licences/." "$licences/"
mv "$licences/README" "$licences/ffmpeg/SOURCES"
cargo tree --locked --workspace --edges normal --prefix none --format '{p} {l}' --features oppose/static-ffmpeg |
    sed 's/ (\*)$//; s/ (proc-macro)//' | grep -v '^oppose[ -]' | sort -u > "$licences/crates.txt"
while read -r crate number _; do
    for licence in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/"$crate-${number#v}"/{LICEN[CS]E,COPYING,NOTICE}*; do
        [ -f "$licence" ] || continue
        mkdir -p "$licences/crates/$crate"
        cp "$licence" "$licences/crates/$crate/"
    done
done < "$licences/crates.txt"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
cat > "$licences/README" <<END
This program $terms.
Its own source is under MIT or Apache-2.0, at your option.

Components, and where to get their source:
  oppose $version, commit $(git describe --always --dirty --abbrev=40 2>/dev/null || echo unknown)
  FFmpeg and the libraries in it: ffmpeg/SOURCES; oppose's scripts/build-ffmpeg.sh builds them
  the crates in crates.txt: https://crates.io
  Rust's standard library: https://github.com/rust-lang/rust, MIT or Apache-2.0
END
if [ -n "$models" ]; then
    cat >> "$licences/README" <<END
  the nets of MediaPipe Holistic and LiteRT, Apache-2.0 (LICENSE-APACHE): unchanged, out of the packages that
    oppose's scripts/models.requirements.txt and scripts/fetch-models.sh name
END
fi
