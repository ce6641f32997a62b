#!/usr/bin/env bash
# Which share of the source the tests run, file by file. Arguments go to `cargo test`, before its `--`.
#
# Reads what the instrumented programs write with the llvm-profdata and llvm-cov of Rust's own LLVM: rustup's component
# llvm-tools, or Debian's package llvm-NN (`rustc -vV` tells which).
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin"

version=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
host=$(rustc -vV | sed -n 's/^host: //p')
tools=
for folder in "$(rustc --print sysroot)/lib/rustlib/$host/bin" "/usr/lib/llvm-$version/bin"; do
    if [ -x "$folder/llvm-profdata" ] && [ -x "$folder/llvm-cov" ]; then
        tools=$folder
        break
    fi
done
[ -n "$tools" ] || {
    echo "coverage: no llvm-profdata and llvm-cov of LLVM $version: rustup component add llvm-tools, or" \
        "apt-get install llvm-$version" >&2
    exit 2
}

# Built into a folder of its own (target/coverage), so that target/debug holds no instrumented programs.
build=(--locked --workspace --profile coverage --config 'profile.coverage.inherits="dev"')
built=$PWD/target/coverage
work=$built/counts
rm -rf "$work"
mkdir -p "$work"
# Instruments the crates of this workspace only; their dependencies stay as they were built. (sh drops the variables of programs to test,
# whose names have a hyphen.)
cat > "$work/rustc" <<'END'
#!/usr/bin/env bash
exec "$@" -C instrument-coverage
END
chmod +x "$work/rustc"
export RUSTC_WORKSPACE_WRAPPER=$work/rustc
export LLVM_PROFILE_FILE=$work/%p-%m.profraw

cargo test "${build[@]}" --no-run 2>&1 | tee "$work/log"
# A test that fails is told, and does not hide what the others run. The one that is left out runs full-size nets on the
# processor, half an hour where each loop is counted; smaller nets go through the same lines.
cargo test "${build[@]}" --no-fail-fast "$@" -- --skip drawn_people_are_found ||
    echo "coverage: tests failed; the figures are without what they left out" >&2
"$tools/llvm-profdata" merge --sparse --failure-mode=all "$work"/*.profraw -o "$work/all.profdata"
objects=("$built/oppose-native")
while read -r program; do objects+=(--object "$program"); done \
    < <(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$work/log")
"$tools/llvm-cov" report --instr-profile="$work/all.profdata" --ignore-filename-regex='/(registry|rustc|tests|target)/' \
    --show-region-summary=false --show-branch-summary=false "${objects[@]}" | tee "$work/report"
