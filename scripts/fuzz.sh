#!/usr/bin/env bash
# Fuzzes every reader of untrusted bytes, starting from fuzz/seeds and from the inputs that earlier runs found.
#
#   scripts/fuzz.sh [SECONDS]     time per target; default 60
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
# The sanitizer needs a nightly compiler, or a stable one with this variable set.
export RUSTC_BOOTSTRAP=1
for target in $(cargo fuzz list); do
    mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
    cargo fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- -max_total_time="${1:-60}" -rss_limit_mb=512
done
