#!/bin/bash
# Does the fault run see a wrong order of steps? Each patch in tests/mutants/ makes one mistake in a scratch copy of the
# last commit; the fault run over it has to end BROKEN, by the invariant that the patch names. Takes some minutes, so it
# is no gate of ./tests/run: run it when the pull or the checker changes.
#
#   tests/mutants.sh [random-id ...]
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
export CARGO_TARGET_DIR=$root/target CARGO_INCREMENTAL=0
[ $# -gt 0 ] || set -- $(cd tests/mutants && ls ./*.patch | sed 's/^\.\///; s/\.patch$//')

# The copies share target/ and leave their binaries in it: put the real ones back.
trap 'cd "$root" && touch infra/local/src/main.rs functions/*/src/main.rs && cargo build --workspace --bins --locked' EXIT

unseen=0
for name in "$@"; do
    patch=$root/tests/mutants/$name.patch
    copy=$root/target/mutants/$name
    rm -rf "$copy" && mkdir -p "$copy"
    git archive HEAD | tar -x -C "$copy"
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
