#!/usr/bin/env bash
# Converts every video in a folder and its subfolders into a .pose file.
#
#   scripts/batch_to_pose.sh IN OUT [OPTIONS OF oppose-native]
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: batch_to_pose.sh IN OUT [OPTIONS]" >&2
    exit 2
fi
program=$(dirname "$0")/../target/release/oppose-native
[ -x "$program" ] || program=oppose-native
exec "$program" --recursive "$1" -o "$2" "${@:3}"
