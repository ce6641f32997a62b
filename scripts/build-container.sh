#!/usr/bin/env bash
# Builds a container image with apptainer or singularity, whichever is installed.
#
#   scripts/build-container.sh [IMAGE]             with OpenPose, from Singularity.def: oppose.sif
#   scripts/build-container.sh --native [IMAGE]    without OpenPose, from Singularity.native.def: oppose-native.sif
#
# The image appears complete or not at all. On a cluster: sbatch scripts/slurm_build_container.sh
set -euo pipefail

definition=Singularity.def
image=oppose.sif
case "${1:-}" in
--native)
    definition=Singularity.native.def
    image=oppose-native.sif
    shift
    ;;
-*)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
# The definition copies the sources from the current folder.
image=$(realpath -m -- "${1:-$image}")
cd "$(dirname "$0")/.."

# On clusters it often comes as an environment module, whose command may not be defined in scripts.
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

options=()
# Lets an ordinary user be root inside the image.
[ "$(id -u)" = 0 ] || options+=(--fakeroot)
mkdir -p "$(dirname "$image")"
unfinished=$(mktemp -d -- "$(dirname "$image")/.build-container.XXXXXX")
trap 'rm -rf "$unfinished"' EXIT
echo "build-container: $definition -> $image with $("$program" --version)"
"$program" build "${options[@]}" "$unfinished/image.sif" "$definition"
mv -f "$unfinished/image.sif" "$image"
echo "build-container: $image, $(du -h "$image" | cut -f1)"
