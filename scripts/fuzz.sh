#!/usr/bin/env bash
# Fuzzes every reader of foreign bytes for a while.
#
#   scripts/fuzz.sh [SECONDS]     each target; default 60
set -euo pipefail
cd "$(dirname "$0")/.."
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
# The sanitizer needs a nightly compiler; a stable one does when it is told that it is one.
export RUSTC_BOOTSTRAP=1
for target in $(cargo fuzz list); do
    mkdir -p "fuzz/corpus/$target"
    [ "$target" = pose_reader ] && find output -name '*.pose' -size -2M -exec cp {} fuzz/corpus/pose_reader/ \; 2>/dev/null
    cargo fuzz run "$target" -- -max_total_time="${1:-60}" -rss_limit_mb=512
done
