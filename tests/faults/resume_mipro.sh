# MIPROv2 killed in mid-run and resumed at other rank counts: the program of the undisturbed run, and no
# journaled call again. No optimizer has code for that; demo sets, proposals and search are replayed.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
ROUNDS=${ROUNDS:-1}
plan $((ROUNDS + 3))
start_mock --rule planted --seed 9 --latency 15
"$MOCK" --make-data 60 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 60 9 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<EOF
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"},
                       {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "mipro_v2"}, "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16}}
EOF
check "the undisturbed run" run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole"
calls=$(stat_of requests)
round=0
while [ $round -lt "$ROUNDS" ]; do
	round=$((round + 1))
	rm -rf "$DIR/o"
	before=$(stat_of requests)
	kills=0
	while :; do
		ranks=$(((round + kills) % 4 + 1))
		start="mpirun --oversubscribe -n $ranks"
		[ $ranks = 1 ] && start=""
		# shellcheck disable=SC2086
		setsid $start "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o" >"$DIR/out" 2>"$DIR/err" &
		pid=$!
		[ $kills -lt 3 ] || break
		# killed when so many further calls were made: the moment does not depend on the machine
		until_calls=$(($(stat_of requests) + 150 + 90 * ((round + kills) % 3)))
		for _ in $(seq 400); do
			[ "$(stat_of requests)" -ge $until_calls ] && break
			sleep 0.02
		done
		kill -9 -- -$pid 2>/dev/null
		wait $pid 2>/dev/null
		kills=$((kills + 1))
	done
	wait $pid
	rc=$?
	spent=$(($(stat_of requests) - before))
	if [ $rc = 0 ] && cmp -s "$DIR/o/program.json" "$DIR/whole/program.json" && [ $spent -le $((calls + 3 * 32)) ]; then
		ok "killed three times, resumed at other rank counts: the same program, $spent calls for $calls"
	else
		not_ok "killed three times: exit $rc, $spent calls for $calls" "$DIR/err"
	fi
done
before=$(stat_of requests)
sed -i 's/"status": "done"/"status": "running"/' "$DIR/o/status.json"
check "a finished journal replays without a call" run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o"
check "counted: $(($(stat_of requests) - before))" [ "$(stat_of requests)" = "$before" ]
