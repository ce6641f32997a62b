#!/usr/bin/env bash
# Reports how much of the source the tests run, per file. Arguments are passed to `cargo test`, before its `--`.
#
# Needs llvm-profdata and llvm-cov of the LLVM version that Rust uses: rustup's component llvm-tools, or Debian's package
# llvm-NN (`rustc -vV` shows the version).
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
    echo "coverage: llvm-profdata and llvm-cov of LLVM $version not found; install them: rustup component add llvm-tools, or" \
        "apt-get install llvm-$version" >&2
    exit 2
}

# Uses a separate build folder (target/coverage), so that target/debug holds no instrumented programs.
build=(--locked --workspace --profile coverage --config 'profile.coverage.inherits="dev"')
built=$PWD/target/coverage
work=$built/counts
rm -rf "$work"
mkdir -p "$work"
# Instruments only the crates of this workspace, not their dependencies. (A bash script, because sh drops the environment
# variables of programs under test, whose names contain a hyphen.)
cat > "$work/rustc" <<'END'
#!/usr/bin/env bash
exec "$@" -C instrument-coverage
END
chmod +x "$work/rustc"
export RUSTC_WORKSPACE_WRAPPER=$work/rustc
export LLVM_PROFILE_FILE=$work/%p-%m.profraw

cargo test "${build[@]}" --no-run 2>&1 | tee "$work/log"
# A failing test is reported, but does not hide the coverage of the others. The skipped test runs full-size nets on the CPU,
# which takes half an hour with instrumentation; smaller nets cover the same lines.
cargo test "${build[@]}" --no-fail-fast "$@" -- --skip drawn_people_are_found ||
    echo "coverage: some tests failed; the figures lack what they did not run" >&2
"$tools/llvm-profdata" merge --sparse --failure-mode=all "$work"/*.profraw -o "$work/all.profdata"
objects=("$built/oppose-native")
while read -r program; do objects+=(--object "$program"); done \
    < <(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$work/log")
"$tools/llvm-cov" report --instr-profile="$work/all.profdata" --ignore-filename-regex='/(registry|rustc|tests|target)/' \
    --show-region-summary=false --show-branch-summary=false "${objects[@]}" | tee "$work/report"
