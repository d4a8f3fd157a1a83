#!/bin/bash
# Does the fault run see a wrong order of steps? Each patch in tests/mutants/ makes one mistake in a scratch copy of the
# last commit; the fault run over it has to end BROKEN, by the invariant that the patch names. Takes some minutes, so it
# is no gate of ./tests/run: run it when the pull or the checker changes.
#
#   tests/mutants.sh [random-id ...]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD scratch=$PWD/target/mutants
[ $# -gt 0 ] || set -- $(cd tests/mutants && ls ./*.patch | sed 's/^\.\///; s/\.patch$//')

# A target directory of their own, begun with a copy of what is compiled already: in a shared one cargo would take a
# mutant for the real thing, because both have the same name.
mkdir -p "$scratch/target"
if [ -d target/debug ] && [ ! -d "$scratch/target/debug" ]; then cp -a --reflink=auto target/debug "$scratch/target/"; fi
export CARGO_TARGET_DIR=$scratch/target CARGO_INCREMENTAL=0

unseen=0
for name in "$@"; do
    patch=$root/tests/mutants/$name.patch
    copy=$scratch/source
    rm -rf "$copy" && mkdir -p "$copy"
    git archive HEAD | tar -x -m -C "$copy"
    (cd "$copy" && patch -p1 -s <"$patch" && cargo build --workspace --bins --locked)
    read -ra arguments <<<"$(sed -n 's/^arguments: //p' "$patch")"
    expected=$(sed -n 's/^expect: //p' "$patch")
    report=$(cd "$copy" && "$CARGO_TARGET_DIR/debug/kills" "${arguments[@]}" || true)
    echo "$report"
    if grep -q '^BROKEN$' <<<"$report" && grep -Eq "$expected: [1-9]" <<<"$report"; then
        echo "seen: $name ($expected)"
    else
        echo "NOT SEEN: $name"
        unseen=$((unseen + 1))
    fi
done
[ "$unseen" = 0 ]
