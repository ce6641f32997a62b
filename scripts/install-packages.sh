#!/usr/bin/env bash
# Installs the system packages and the Rust toolchain that are missing.
#
#   scripts/install-packages.sh build     to build and run the program
#   scripts/install-packages.sh test      to run the tests too
#   scripts/install-packages.sh release   to build archives for other machines too
set -euo pipefail
cd "$(dirname "$0")/.."

# gcc links, libclang generates the bindings from FFmpeg's headers, python3 and pip download the models.
packages=(gcc libc6-dev pkg-config libclang-dev libavcodec-dev libavformat-dev libavutil-dev libswresample-dev libswscale-dev
    ca-certificates curl python3 python3-pip)
case "${1:-build}" in
    # The ffmpeg program for comparisons, a virtual environment for the real pose-format, and a linter for the scripts.
    test) packages+=(ffmpeg python3-venv shellcheck) ;;
    # The tools that build FFmpeg and its libraries; zig comes from PyPI.
    release) packages+=(make nasm xz-utils binutils python3-venv) ;;
esac

if command -v dpkg-query >/dev/null; then
    missing=()
    for package in "${packages[@]}"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        run=()
        if [ "$(id -u)" != 0 ]; then
            command -v sudo >/dev/null || {
                echo "setup: these packages are missing, and installing them needs root: ${missing[*]}" >&2
                exit 2
            }
            run=(sudo)
        fi
        echo "Installing: ${missing[*]}"
        "${run[@]}" apt-get update -qq
        "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    fi
else
    echo "setup: this is not Debian or Ubuntu; make sure that these packages, or their equivalents, are installed: ${packages[*]}" >&2
fi

wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
have=$(cargo --version 2>/dev/null | cut -d' ' -f2 || true)
if [ "$(printf '%s\n%s\n' "$wanted" "${have:-0}" | sort -V | head -n 1)" != "$wanted" ]; then
    echo "Installing Rust (found: ${have:-none}, needed: $wanted)"
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --profile minimal -c rustfmt -c clippy
fi
