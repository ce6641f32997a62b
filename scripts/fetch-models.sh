#!/usr/bin/env bash
# Downloads the files of the engine `holistic` into a models folder: MediaPipe's nets and the LiteRT runtime, all under the
# Apache License 2.0, pinned by SHA-256. Downloads nothing that is already present.
#
#   scripts/fetch-models.sh [FOLDER]      default: models, in this checkout
#
# The runtime is the one for this machine's CPU; OPPOSE_ARCHITECTURE=aarch64 fetches that for another one.
#
# What the default settings, refine_face_landmarks and --hands thorough need comes from two Python packages, which pip
# fetches. The nets of model_complexity 0 and 2 come from an npm package, fetched by HTTPS from the configured registry:
# $NPM_CONFIG_REGISTRY, what npm itself reports, or a registry= line in an npmrc. Without any of these, only those two
# settings are unavailable.
set -euo pipefail
folder=$(realpath -m -- "${1:-$(dirname "$0")/../models}")
cd "$(dirname "$0")"

system="$(uname -s) ${OPPOSE_ARCHITECTURE:-$(uname -m)}"
case "$system" in
    "Linux x86_64") sums=$PWD/models.sha256 platforms=() ;;
    # The package with the nets exists only for x86_64, but the nets run anywhere.
    "Linux aarch64") sums=$PWD/models.aarch64.sha256 platforms=(--platform manylinux_2_27_aarch64) ;;
    *)
        echo "setup: the models' runtime exists for Linux on x86_64 and aarch64 only (scripts/models.requirements.txt), but this is $system" >&2
        exit 2
        ;;
esac
mkdir -p "$folder/holistic"
check() { (cd "$folder/holistic" && sha256sum --quiet --check "$1"); }
further=$PWD/models-npm.sha256
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! check "$sums" >/dev/null 2>&1; then
    echo "Downloading the models into $folder/holistic"
    # Explicit tags select the packages, so that this machine's Python version does not matter.
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version 3.11 --implementation cp \
        "${platforms[@]}" --platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
        --require-hashes --requirement models.requirements.txt --dest "$work"
    python3 - "$work" "$folder/holistic" "$sums" <<'END'
import pathlib, sys, zipfile
wheels, folder = map(pathlib.Path, sys.argv[1:3])
wanted = {line.split()[1] for line in open(sys.argv[3])}
for wheel in wheels.glob("*.whl"):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            name = pathlib.PurePosixPath(member).name
            if name in wanted:
                (folder / name).write_bytes(archive.read(member))
END
    check "$sums"
fi

# Prints the registry that npm would use, without needing npm.
registry() {
    if [ -n "${NPM_CONFIG_REGISTRY:-${npm_config_registry:-}}" ]; then
        echo "${NPM_CONFIG_REGISTRY:-${npm_config_registry:-}}"
    elif command -v npm >/dev/null; then
        npm config get registry
    else
        sed -n 's/^ *registry *= *//p' "$HOME/.npmrc" /etc/npmrc 2>/dev/null | head -n 1
    fi
}

# Downloads an address to a file.
fetch() {
    if command -v curl >/dev/null; then
        curl --proto '=https' --fail --silent --show-error --location --retry 3 --output "$2" "$1"
    else
        wget --https-only --quiet --output-document="$2" "$1"
    fi
}

fetch_further() {
    local address archive=$work/pose.tgz
    address=$(registry)
    if [ -z "$address" ]; then
        echo "no npm registry is configured; set NPM_CONFIG_REGISTRY to the address of one" >&2
        return 1
    fi
    echo "Fetching the nets of model_complexity 0 and 2 into $folder/holistic"
    fetch "${address%/}/@mediapipe/pose/-/pose-0.5.1675469404.tgz" "$archive" &&
        echo "8bb349a7b3a3ba699df23be804ddd3b3eab810b50b15406894be257859388a84  $archive" |
            sha256sum --quiet --check &&
        tar -xzf "$archive" -C "$work" &&
        install -m 644 "$work"/package/pose_landmark_{lite,heavy}.tflite "$folder/holistic" &&
        check "$further"
}

if ! check "$further" >/dev/null 2>&1 && ! fetch_further; then
    echo "setup: the nets of model_complexity 0 and 2 are missing; all else works without them" >&2
fi
