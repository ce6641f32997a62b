#!/usr/bin/env bash
# Submits the videos in a folder and its subfolders to SLURM as one job array.
#
#   scripts/slurm_submit.sh IN OUT [--chunks N] [OPTIONS OF oppose-native slurm submit]
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: slurm_submit.sh IN OUT [--chunks N] [OPTIONS]" >&2
    exit 2
fi
program=$(dirname "$0")/../target/release/oppose-native
[ -x "$program" ] || program=oppose-native
exec "$program" slurm submit --recursive "$1" "$2" "${@:3}"
