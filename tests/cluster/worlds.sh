# Two planted worlds end to end (scripts/bench-worlds has twenty): factor with a third of the schedule's budget.
. tests/lib.sh
plan 4
run 0 env AUTO=medium SHARE=33 scripts/bench-worlds 2 1
check "factor is not worse than search = mipro: $(tail -1 "$DIR/out")" [ "$rc" = 0 ]
rows() { awk 'NR > 1 && NF == 8 { n++; if (!('"$1"')) bad++ } END { exit !(n == 2 && !bad) }' "$DIR/out"; }
check "it had less than half of the runs" rows '$3 < .5 * $2'
check "and little more of the calls, bootstrapping among them" rows '$5 < .6 * $4'
check "both winners are far above the program as written (25 %)" rows '$6 > 45 && $7 > 45'
