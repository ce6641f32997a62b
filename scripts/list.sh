#!/usr/bin/env bash
# Lists all scripts and benchmarks, each with the first sentence of its description.
set -euo pipefail
cd "$(dirname "$0")/.."

# list HEADING COMMAND-PREFIX FILE...
list() {
    printf '\n%s\n' "$1"
    for file in "${@:3}"; do
        # The comment at the top, joined into one line, up to the end of its first sentence.
        sentence=$(sed -nE '1{/^#!/d}; /^(#|\/\/!) ./!q; s/^(#|\/\/!) //p' "$file" | tr '\n' ' ' | sed -E 's/\. .*/./')
        name=$file
        [ -z "$2" ] || name="$2 $(basename "$file" .rs)"
        printf '  %-34s %s\n' "$name" "$sentence"
    done
}

list "Set up, test, measure coverage, fuzz" "" scripts/{setup,test,coverage,fuzz,fetch-models,install-packages}.sh
list "Benchmarks of the whole program" "" scripts/bench-*.sh
list "Benchmarks of parts" "cargo bench --bench" benches/*.rs
list "Process a corpus" "" scripts/{batch_to_pose,slurm_submit,slurm_build_container}.sh
list "Build and publish" "" scripts/{build-*,check-release,collect-licences,fetch-ffmpeg-sources,portable-toolchain,release-notes}.sh
