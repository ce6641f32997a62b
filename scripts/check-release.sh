#!/usr/bin/env bash
# Checks that a version is ready to be published, and prints `version=VERSION`.
#
#   scripts/check-release.sh [TAG]
#
# The workspace, CITATION.cff and CHANGELOG.md have to name the same version, and the tag too, if there is one. With a tag,
# the repository's address must have been filled in.
set -euo pipefail
cd "$(dirname "$0")/.."
tag=${1:-}

fail() {
    echo "check-release: $1" >&2
    exit 1
}
version=$(sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ -n "$version" ] || fail "Cargo.toml has no version in [workspace.package]"
cited=$(sed -n 's/^version: //p' CITATION.cff)
[ "$cited" = "$version" ] || fail "CITATION.cff says version $cited, Cargo.toml $version: make them equal"
date=$(sed -n 's/^date-released: "\(.*\)"/\1/p' CITATION.cff)
grep -qFx "## $version, $date" CHANGELOG.md ||
    fail "CHANGELOG.md has no heading \"## $version, $date\": name the version and the date that CITATION.cff has"
if [ -n "$tag" ]; then
    [ "$tag" = "v$version" ] || fail "the tag is $tag, but the version is $version: tag v$version"
    ! grep -q 'github\.com/OWNER/' Cargo.toml CITATION.cff ||
        fail "the repository's address is not filled in: replace OWNER in Cargo.toml and CITATION.cff"
fi
echo "version=$version"
