#!/usr/bin/env bash
# Prints what CHANGELOG.md says about a version.
#
#   scripts/release-notes.sh VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
notes=$(awk -v heading="## ${1:?expected a version}," '
    /^## / { is_wanted = index($0, heading) == 1; next }
    is_wanted' CHANGELOG.md)
[ -n "$notes" ] || {
    echo "release-notes: CHANGELOG.md has no section about $1" >&2
    exit 1
}
printf '%s\n' "$notes"
