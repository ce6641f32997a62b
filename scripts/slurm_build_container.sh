#!/usr/bin/env bash
# Builds a container image as a SLURM job. Submit it from the checkout:
#
#   sbatch scripts/slurm_build_container.sh [--native] [--base BASE] [IMAGE]
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
# The base image is large and is unpacked twice, once for each stage, so it goes to the node's own disk rather than into a
# home folder with a small quota. Network file systems do not work: many do not let a build create files owned by root.
folder=${TMPDIR:-/tmp}
export APPTAINER_CACHEDIR=${APPTAINER_CACHEDIR:-$folder/apptainer-cache-$(id -un)}
export SINGULARITY_CACHEDIR=${SINGULARITY_CACHEDIR:-$APPTAINER_CACHEDIR}
export APPTAINER_TMPDIR=${APPTAINER_TMPDIR:-$folder}
export SINGULARITY_TMPDIR=${SINGULARITY_TMPDIR:-$APPTAINER_TMPDIR}
mkdir -p "$APPTAINER_TMPDIR"
free=$(($(df --output=avail -k "$APPTAINER_TMPDIR" | tail -n 1) / 1000000))
if [ "$free" -lt 40 ]; then
    echo "slurm_build_container: only $free GB are free in $APPTAINER_TMPDIR, and building may take 40 GB; if it fails, name a larger local folder in APPTAINER_TMPDIR" >&2
fi
exec "$checkout/scripts/build-container.sh" "$@"
