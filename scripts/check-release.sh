#!/usr/bin/env bash
# Checks that a version is ready to be published, and prints `version=VERSION`.
#
#   scripts/check-release.sh [TAG]
#
# The workspace, CITATION.cff and CHANGELOG.md have to name the same version, and Cargo.toml and CITATION.cff the same address
# of the repository. With a tag, that has to be of this version, the address filled in, and no change left under "Unreleased".
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
addresses=$(sed -nE 's/^(repository|homepage) = "(.*)"/\2/p; s/^repository-code: (.*)/\1/p' Cargo.toml CITATION.cff | sort -u)
[ "$(wc -l <<<"$addresses")" = 1 ] ||
    fail "Cargo.toml (repository, homepage) and CITATION.cff (repository-code) disagree: ${addresses//$'\n'/, }"
if [ -n "$tag" ]; then
    [ "$tag" = "v$version" ] || fail "the tag is $tag, but the version is $version: tag v$version"
    [[ "$addresses" != */OWNER/* ]] ||
        fail "the repository's address is not filled in: replace OWNER in Cargo.toml and CITATION.cff (docs/publishing.md)"
    awk '/^## / { is_open = $0 == "## Unreleased"; next } is_open && NF { exit 1 }' CHANGELOG.md ||
        fail "CHANGELOG.md has changes under \"Unreleased\": move them under \"## $version, $date\""
fi
echo "version=$version"
