# scripts/check-cites: what comments cite exists, and a citation of something that does not is found.
. tests/lib.sh
if ! command -v python3 >/dev/null; then
	plan 1
	skip "needs python3"
	exit 0
fi
# a line with a wrong citation | the words that name it
wrong='/* As DSPy does (contract 3.9). */|contract 3.9
/* contract 8.4, 11 */|contract 11
/* as in (contract\n * 3.17) */|contract 3.17
/* contract 0.1 to 0.9 */|contract 0.9
/* DSPy raises (contract 10.6, trap 7) */|trap 7
/* src/README.md §12 */|src/README.md has no §12
/* The recipe (src/cluster/README.md\n * §7.9) */|src/cluster/README.md has no §7.9
/* see §5 */|§5: say of which page
/* DESIGN.md §2 */|DESIGN.md
/* cluster-notes */|cluster-notes
/* Where it waits: pool/nowhere.h */|pool/nowhere.h: no such file
/* (vanished.c) */|vanished.c: no such file
/* the model (17) of dspy_mpi/search.h */|no equation (17)
/* issue 16 */|issue 16
int x; // tests/golden/data/none.json|none.json: no such file'
right='/* contract 3.5 a-c; contract 10.6, trap 6; contract 8.4.1; contract 0.1 to 0.3; my contract ends */
/* src/README.md §5, and src/cluster/README.md §7.2 (doorbell.h, pool/link.h, dspy_mpi/search.h) */
/* (9) of dspy_mpi/search.h, tests/golden/data/rng.json */
static const char *text = "contract 99, src/README.md §77, gone.c";'
plan $((3 + $(printf '%s\n' "$wrong" | wc -l)))
check "in this repository all are right" run 0 scripts/check-cites
cp -r src include tests scripts jobs .github README.md Makefile "$DIR"
rm -rf "$DIR"/tests/fuzz/corpus/*
planted() { # planted TEXT: is the last line of a file of the copy
	printf '%b\n' "$1" >"$DIR/src/base/planted.h"
	scripts/check-cites "$DIR" >"$DIR/found"
}
check "right ones of all kinds pass, and texts in strings" planted "$right"
printf '%s\n' "$wrong" >"$DIR/wrong"
while IFS='|' read -r line words; do
	found() { ! planted "/* planted */\n$line" && grep -qF "$words" "$DIR/found" && grep -q "^src/base/planted.h:[2-3]:" "$DIR/found" && [ "$(wc -l <"$DIR/found")" -le 3 ]; }
	check "found: $words" found
done <"$DIR/wrong"
planted ""
printf '#!/bin/sh\n# Rows of src/README.md §55\n' >"$DIR/scripts/planted"
in_script() { ! scripts/check-cites "$DIR" >"$DIR/found" && grep -q "^scripts/planted:2: src/README.md has no §55" "$DIR/found"; }
check "found in a script" in_script
