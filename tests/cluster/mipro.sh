# MIPROv2 with the stand-in: the same program.json, byte for byte, in one process and at any number of
# ranks, for each search. ALL=1 is the whole sweep: light, medium and heavy at 1, 2, 5, 16 and 64.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
if [ -n "${ALL:-}" ]; then
	RANKS="1 2 5 16 64" MODES="light medium heavy" SECONDS_LIMIT=600 VALIDATION=1000
else
	RANKS="1 2 5" MODES="light medium" VALIDATION=120
fi
plan $(($(echo $MODES | wc -w) + 11))
"$MOCK" --make-data 60 7 0 >"$DIR/train.jsonl"
"$MOCK" --make-data "$VALIDATION" 7 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<EOF
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"},
                       {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "mipro_v2"}, "lm": {"model": "embedded/stand-in", "concurrency": 64}}
EOF
compile() { # compile RANKS OPTIMIZER OUT
	start=""
	[ "$1" -gt 1 ] && start="mpirun --oversubscribe -n $1"
	# shellcheck disable=SC2086
	run 0 $start "$PROGRAM" compile "$DIR/job.json" --optimizer="$2" --out="$3"
}
for mode in $MODES; do
	first="" same=yes
	for ranks in $RANKS; do
		compile "$ranks" "{\"name\":\"mipro_v2\",\"auto\":\"$mode\"}" "$DIR/o" || same="no: exit with $ranks ranks"
		sum=$(sha256sum <"$DIR/o/program.json")
		[ "${first:=$sum}" = "$sum" ] || same="no: another program with $ranks ranks"
		rm -rf "$DIR/o"
	done
	check "$mode, search = factor, at $RANKS ranks: $same" [ "$same" = yes ]
done
for search in mipro tpe random halving; do
	optimizer="{\"name\":\"MIPROv2\",\"search\":\"$search\"}"
	compile 1 "$optimizer" "$DIR/a" && compile 3 "$optimizer" "$DIR/b"
	check "search = $search, at 1 and 3 ranks" cmp "$DIR/a/program.json" "$DIR/b/program.json"
	rm -rf "$DIR/a" "$DIR/b"
done

# The user's own instructions: instead of the model's nothing is asked of it.
cat >"$DIR/own.json" <<'EOF'
{"think.predict": {"instead": ["Look at the number and the colour."]}, "say": {"instead": ["Say it."]}}
EOF
run 0 "$PROGRAM" compile "$DIR/job.json" --optimizer.proposals="$DIR/own.json" --optimizer.max_bootstrapped_demos=0 --optimizer.max_labeled_demos=0 --out="$DIR/p"
check "own instructions instead of the model's: levels 0 and 1 alone" sh -c "! cut -d, -f13 $DIR/p/trials.csv | sed 1d | grep -q '[2-9]'"
check "and no call beside the program's" [ "$(json calls "$DIR/out")" -le $(($(json search.runs "$DIR/out") * 2)) ]
check "their content, not their path, is in the program file" sh -c "! grep -q own.json $DIR/p/program.json && grep -q proposals $DIR/p/program.json"
run 78 "$PROGRAM" compile "$DIR/job.json" --optimizer.proposals="$DIR/val.jsonl" --out="$DIR/q"
check "a file that is none is refused" [ "$rc" = 78 ]
run 64 "$PROGRAM" compile "$DIR/job.json" --optimizer.num_trials=5 --out="$DIR/q"
check "num_trials beside auto is refused" said "auto sets it"
run 64 "$PROGRAM" compile "$DIR/job.json" --optimizer.search=mipro --optimizer.in_flight=5 --out="$DIR/q"
check "in_flight with DSPy's schedule is refused" said "decides nothing while results are under way"
sed -i 's/"status": "done"/"status": "running"/' "$DIR/p/status.json"
check "a resume with another in_flight is refused" run 73 "$PROGRAM" compile "$DIR/job.json" --optimizer.proposals="$DIR/own.json" --optimizer.max_bootstrapped_demos=0 --optimizer.max_labeled_demos=0 --optimizer.in_flight=77 --out="$DIR/p"
