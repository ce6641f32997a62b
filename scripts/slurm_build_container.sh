#!/usr/bin/env bash
# Builds a container image as a SLURM job. Submit it from the checkout:
#
#   sbatch scripts/slurm_build_container.sh [--native] [IMAGE]
#
#SBATCH --job-name=build-container
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=02:00:00
#SBATCH --output=build-container-%j.log
set -euo pipefail

# SLURM runs a copy of this script in its own spool folder; the checkout is where sbatch was called.
checkout=${SLURM_SUBMIT_DIR:-$(dirname "$0")/..}
while [ ! -e "$checkout/Singularity.def" ]; do
    above=$(dirname "$(realpath "$checkout")")
    [ "$above" != / ] || {
        echo "slurm_build_container: no Singularity.def in ${SLURM_SUBMIT_DIR:-$checkout} or above; call sbatch from the checkout" >&2
        exit 2
    }
    checkout=$above
done
# The base image is large: download and unpack it on the node's own disk if there is one, not in a home folder with a
# small quota.
export APPTAINER_CACHEDIR=${APPTAINER_CACHEDIR:-${TMPDIR:-/tmp}/apptainer-cache-$(id -un)}
export SINGULARITY_CACHEDIR=${SINGULARITY_CACHEDIR:-$APPTAINER_CACHEDIR}
exec "$checkout/scripts/build-container.sh" "$@"
