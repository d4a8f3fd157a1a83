#!/bin/bash
# Do the proofs see a wrong order of steps? Each patch in tests/mutants/ makes one mistake in a scratch copy of the
# last commit, of which the functions that it names are built (`functions:`); the proof that it names (`command:`) has
# to end BROKEN over them, by the fault that it names (`expect:`). Compiles `shared` once for each, so it is no gate of
# ./tests/run:
# run it when the pull or the checker changes.
#
#   tests/mutants.sh                        all of them
#   tests/mutants.sh random-id              one
#
# Last run: docs/proofs.md.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD scratch=$PWD/target/mutants copy=$PWD/target/mutants/source
[ $# -gt 0 ] || set -- $(cd tests/mutants && ls ./*.patch | sed 's/^\.\///; s/\.patch$//')
export CARGO_INCREMENTAL=0
cargo build --workspace --bins --locked

# A target directory of their own, begun with a copy of what is compiled already: in a shared one cargo would take a
# mutant for the real thing, because both have the same name.
mkdir -p "$scratch/target" "$copy"
if [ ! -d "$scratch/target/debug" ]; then cp -a --reflink=auto target/debug "$scratch/target/"; fi
export CARGO_TARGET_DIR=$scratch/target

# Files that are as they were keep their time, so that cargo compiles only what a mutant touches.
rm -rf "$scratch/next" && mkdir "$scratch/next"
git archive HEAD | tar -x -m -C "$scratch/next"
refresh() {
    local file
    (cd "$scratch/next" && find . -type f) | while read -r file; do
        cmp -s "$scratch/next/$file" "$copy/$file" && continue
        mkdir -p "$copy/$(dirname "$file")"
        cp "$scratch/next/$file" "$copy/$file"
    done
}

# The built programs, with the mutant's functions in place of the real ones.
assemble() {
    rm -rf "$scratch/bin" && mkdir "$scratch/bin"
    find "$root/target/debug" -maxdepth 1 -type f -executable -exec cp {} "$scratch/bin/" \;
    local function
    for function in "$@"; do cp "$scratch/target/debug/$function" "$scratch/bin/"; done
}

unseen=0
for name in "$@"; do
    patch=$root/tests/mutants/$name.patch
    line() { sed -n "s/^$1: //p" "$patch"; }
    read -ra functions <<<"$(line functions)"
    read -ra words <<<"$(line command)"
    expected=$(line expect)
    refresh
    (cd "$copy" && patch -p1 -s --no-backup-if-mismatch <"$patch" &&
        cargo build --workspace --locked "${functions[@]/#/--bin=}")
    assemble "${functions[@]}"
    report=$("$scratch/bin/${words[0]}" "${words[@]:1}" || true)
    echo "$report"
    if grep -q '^BROKEN$' <<<"$report" && grep -Eq "$expected: [1-9]" <<<"$report"; then
        echo "seen: $name ($expected)"
    else
        echo "NOT SEEN: $name"
        unseen=$((unseen + 1))
    fi
done
[ "$unseen" = 0 ]
