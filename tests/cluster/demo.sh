# What `make demo` shows is what it says: equal sums, and no journaled call asked for again after a kill.
LEAKS=0 # what Open MPI leaves at its end is not ours
. tests/lib.sh
plan 4
check "the demo runs to its end" run 0 scripts/demo </dev/null
check "one process and 4 ranks write the same program" [ "$(grep -c '  build/demo[14]/program.json$' "$DIR/out")" = 2 -a "$(sed -n 's|  build/demo[14]/program.json||p' "$DIR/out" | sort -u | wc -l)" = 1 ]
check "killed half-way: $(grep '^killed' "$DIR/out")" grep -q '^the server answered [0-9]* calls in all: 0 calls repeated$' "$DIR/out"
check "the table, with its warning" grep -q '(stand-in, not a language model)' "$DIR/out"
