#!/usr/bin/env bash
# Builds a container image with apptainer or singularity, whichever is installed.
#
#   scripts/build-container.sh [IMAGE]             with OpenPose, from Singularity.def: oppose.sif
#   scripts/build-container.sh --native [IMAGE]    without OpenPose, from Singularity.native.def: oppose-slim.sif
#
# Before IMAGE, --base BASE takes another base image: docker://NAME@sha256:DIGEST to pin one, or a folder or SIF file.
#
# Works for ordinary users, too. The image appears only when it is complete. On a cluster:
# sbatch scripts/slurm_build_container.sh
set -euo pipefail

definition=Singularity.def
image=oppose.sif
base=
usage() {
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
}
while [[ "${1:-}" == -* ]]; do
    case "$1" in
    --native)
        definition=Singularity.native.def
        image=oppose-slim.sif
        ;;
    --base)
        [ -n "${2:-}" ] || usage
        base=$2
        shift
        ;;
    *) usage ;;
    esac
    shift
done
image=$(realpath -m -- "${1:-$image}")
case "$base" in
'' | docker://*) ;;
*)
    [ -e "$base" ] || {
        echo "build-container: there is no $base: --base takes docker://NAME, a folder or a SIF file" >&2
        exit 2
    }
    base=$(realpath -- "$base")
    if [ -d "$base" ] && [ "$(id -u)" != 0 ] && [ "$(stat --format %u "$base")" != "$(id -u)" ]; then
        echo "build-container: $base belongs to another user, whose files apptainer cannot copy for you: make it yours, or pass a SIF file" >&2
        exit 2
    fi
    ;;
esac
# The definition copies the sources from the current folder.
cd "$(dirname "$0")/.."

# Clusters often provide it as an environment module, and scripts may lack the command `module`.
if ! { command -v apptainer || command -v singularity; } >/dev/null; then
    for profile in /etc/profile.d/lmod.sh /etc/profile.d/modules.sh; do
        # shellcheck disable=SC1090 # The file is the cluster's.
        command -v module >/dev/null || [ ! -r "$profile" ] || . "$profile"
    done
    if command -v module >/dev/null; then
        module load apptainer 2>/dev/null || module load singularityce 2>/dev/null ||
            module load singularity 2>/dev/null || true
    fi
fi
program=$(command -v apptainer || command -v singularity) || {
    echo "build-container: neither apptainer nor singularity is here; install one (https://apptainer.org), or on a cluster look for its module (module avail)" >&2
    exit 2
}
version=$("$program" --version)

options=()
if [ "$(id -u)" != 0 ]; then
    # Lets an ordinary user be root inside the image.
    options+=(--fakeroot)
    # A user without a range of user ids is the only user inside the image. Apptainer then runs %post under the host's
    # `fakeroot`, which does not start in an image whose C library is older than the host's; the definitions do without it.
    if [[ "$version" == apptainer* ]] && ! grep -qsE "^($(id -un)|$(id -u)):" /etc/subuid; then
        options+=(--ignore-fakeroot-command)
    fi
fi
mkdir -p "$(dirname "$image")"
unfinished=$(mktemp -d -- "$(dirname "$image")/.build-container.XXXXXX")
trap 'rm -rf "$unfinished"' EXIT
echo "build-container: $definition -> $image with $version"
if [ -n "$base" ]; then
    bootstrap=localimage
    [[ "$base" != docker://* ]] || bootstrap=docker
    # Not with `sed`, to which characters of a path could be special.
    while IFS= read -r line; do
        case "$line" in
        'Bootstrap: '*) echo "Bootstrap: $bootstrap" ;;
        'From: '*) echo "From: ${base#docker://}" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <"$definition" >"$unfinished/image.def"
    definition=$unfinished/image.def
fi
"$program" build "${options[@]}" "$unfinished/image.sif" "$definition"
mv -f "$unfinished/image.sif" "$image"
echo "build-container: $image, $(du -h "$image" | cut -f1)"
