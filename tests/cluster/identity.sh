# The same seed and the same answers give the same program at any number of ranks, byte for byte, though
# the answers come in another order each time.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan 10
start_mock --rule planted --seed 7 --latency-arrival 0:6
"$MOCK" --make-data 60 7 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 24 7 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<EOF
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"},
                       {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot"},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 24}}
EOF
for optimizer in '{"name":"labeled_few_shot"}' '{"name":"bootstrap_few_shot","max_rounds":2}' \
	'{"name":"BootstrapFewShotWithRandomSearch","num_candidate_programs":3}'; do
	for seed in 0 5; do
		first="" same=yes
		for ranks in 0 1 2 3 4 8 16; do
			start=""
			[ $ranks -gt 0 ] && start="mpirun --oversubscribe -n $ranks"
			# shellcheck disable=SC2086
			run 0 $start "$PROGRAM" compile "$DIR/job.json" --optimizer="$optimizer" --seed=$seed --out="$DIR/o" --fresh || {
				same="no: exit $rc with $ranks ranks"
				break
			}
			sum=$(sha256sum <"$DIR/o/program.json")
			[ "${first:=$sum}" = "$sum" ] || same="no: another program with $ranks ranks"
			rm -rf "$DIR"/o*
		done
		check "$optimizer, seed $seed, one process and 1 to 16 ranks: $same" [ "$same" = yes ]
	done
done
# A race decides in mid-run, from block to block, and cancels: the same decisions, and some are made.
"$MOCK" --make-data 90 7 2000 >"$DIR/long.jsonl"
for race in true '"halving"'; do
	first="" same=yes
	for ranks in 0 1 2 3 5 16; do
		start=""
		[ $ranks -gt 0 ] && start="mpirun --oversubscribe -n $ranks"
		# shellcheck disable=SC2086
		run 0 $start "$PROGRAM" compile "$DIR/job.json" --valset="$DIR/long.jsonl" --optimizer=BootstrapRS --optimizer.num_candidate_programs=4 \
			--optimizer.race="$race" --out="$DIR/o" --fresh || {
			same="no: exit $rc with $ranks ranks"
			break
		}
		said "candidates left" || same="no: nothing said of the race with $ranks ranks"
		sum=$(cat "$DIR/o/program.json" "$DIR/o/trials.csv" | sha256sum)
		[ "${first:=$sum}" = "$sum" ] || same="no: another program or trials.csv with $ranks ranks"
		[ "$(grep -c '^[0-9].*,90,' "$DIR/o/trials.csv")" -lt 7 ] || same="no: nobody was dropped"
		rm -rf "$DIR"/o*
	done
	check "race $race, one process and 1 to 16 ranks: $same" [ "$same" = yes ]
done
# Another seed gives another program, so that the equality above says something.
run 0 "$PROGRAM" compile "$DIR/job.json" --optimizer=labeled_few_shot --seed=0 --out="$DIR/a"
run 0 "$PROGRAM" compile "$DIR/job.json" --optimizer=labeled_few_shot --seed=5 --out="$DIR/b"
check "two seeds give two programs" sh -c "! cmp -s $DIR/a/program.json $DIR/b/program.json"
check "no server's address, no path and no time in the program" sh -c "! grep -qE '127\\.0\\.0\\.1|/tmp|seconds|rank' $DIR/a/program.json"
