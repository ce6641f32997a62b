#!/usr/bin/env bash
# Installs what the tests compare against (the ffmpeg program, and the real pose-format and MediaPipe in the virtual
# environment .venv), then runs all tests. Arguments are passed to `cargo test`.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/install-packages.sh test
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"
scripts/fetch-models.sh
if ! cmp -s tests/requirements.txt .venv/installed.txt; then
    python3 -m venv --clear .venv
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/requirements.txt
    cp tests/requirements.txt .venv/installed.txt
fi
# One failing test program does not hide the results of those after it.
cargo test --locked --workspace --no-fail-fast "$@"
