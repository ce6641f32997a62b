#!/usr/bin/env bash
# Fetches the sources of FFmpeg and of the libraries that scripts/build-ffmpeg.sh links into it, as Debian 13 publishes them,
# pinned by SHA-256. Downloads nothing that is already present.
#
#   scripts/fetch-ffmpeg-sources.sh FOLDER
#
# Needs apt-get on Debian. Elsewhere, also on Ubuntu, build in a container of Debian (docs/prebuilt.md), or copy the files
# listed in scripts/ffmpeg-sources.sha256 into FOLDER.
set -euo pipefail
sums=$(realpath -- "$(dirname "$0")/ffmpeg-sources.sha256")
mkdir -p "${1:?expected a folder}"
cd "$1"
check() { sha256sum --quiet --check "$sums"; }
if check >/dev/null 2>&1; then
    exit 0
fi
command -v apt-get >/dev/null || {
    echo "fetch-ffmpeg-sources: there is no apt-get here; copy the files listed in $sums into $PWD" >&2
    exit 2
}

# Separate lists and settings leave the system's own unchanged: its mirror, but Debian 13 and sources only.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
touch "$work/status"
# shellcheck disable=SC2016 # $(SITE) is apt-get's.
mirror=$(apt-get indextargets --format '$(SITE)' 'Identifier: Packages' 'Origin: Debian' 'Label: Debian' | head -n 1)
[ -n "$mirror" ] || {
    echo "fetch-ffmpeg-sources: apt-get knows no mirror of Debian; build in a container of Debian 13 (docs/prebuilt.md), or copy the files listed in $sums into $PWD" >&2
    exit 2
}
echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$work/sources.list"
apt=(apt-get --quiet=2 -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State=$work/state" -o "Dir::State::status=$work/status" -o "Dir::Cache=$work/cache" -o APT::Sandbox::User=root)
"${apt[@]}" update
# Debian's own patches are not needed, so a failure to fetch them does not matter: the check below decides.
mapfile -t packages < <(sed 's/^[0-9a-f]* *//; s/_.*//' "$sums")
"${apt[@]}" source --download-only "${packages[@]}" >/dev/null || true
check
