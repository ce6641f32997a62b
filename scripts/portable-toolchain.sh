#!/usr/bin/env bash
# Installs build tools whose programs run on every Linux with glibc 2.28 or later (Debian 10, RHEL 8): zig as the C compiler
# and linker, cargo-zigbuild and maturin, all from PyPI and pinned, and wrappers for builds that expect the name of a single
# program as the compiler.
#
#   scripts/portable-toolchain.sh FOLDER      prints shell commands for `eval`: export CC=... and the like
set -euo pipefail
folder=$(realpath -m -- "${1:?expected a folder}")
cd "$(dirname "$0")"

# The C library of RHEL 8 and of manylinux_2_28 wheels.
target=x86_64-linux-gnu.2.28

if ! cmp --silent portable-toolchain.requirements.txt "$folder/installed.txt"; then
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --requirement portable-toolchain.requirements.txt >&2
    zig=$("$folder/bin/python" -c 'import pathlib, ziglang; print(pathlib.Path(ziglang.__file__).with_name("zig"))')
    for tool in cc c++ ar ranlib; do
        wrapper=$folder/bin/portable-$tool
        {
            echo '#!/bin/sh'
            case $tool in
                c*)
                    # With --version, zig rejects a target that includes the version of the C library.
                    echo "[ \"\$*\" = --version ] || set -- -target $target \"\$@\""
                    ;;
            esac
            printf 'exec %q %s "$@"\n' "$zig" "$tool"
        } > "$wrapper"
        chmod +x "$wrapper"
    done
    cp portable-toolchain.requirements.txt "$folder/installed.txt"
fi
cat <<END_OF_EXPORTS
export PATH=$(printf %q "$folder/bin"):\$PATH
export CC=portable-cc CXX=portable-c++ AR=portable-ar RANLIB=portable-ranlib
export PORTABLE_TARGET=x86_64-unknown-linux-gnu.${target##*gnu.}
END_OF_EXPORTS
