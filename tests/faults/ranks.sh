# launch -n 8: workers that are killed or stopped are noticed, their work goes to others, and the run
# finishes in the same attempt; a coordinator that is killed or stopped costs one restart. The program is
# that of the undisturbed run, and nothing that is in the journal is asked for again (counted at the server).
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
RUNS=${RUNS:-2}
plan $((4 * RUNS + 1))
start_mock --rule planted --seed 9 --mark yes --latency 30 --latency-jitter 120
"$MOCK" --make-data 80 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 80 9 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 8},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 14}}
END
run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole"
calls=$(stat_of requests)
check "the undisturbed run, $calls calls" [ "$rc" = 0 ]
post /whole >/dev/null
rank_pid() { # of rank $1 below mpirun
	for p in $(pgrep -P "$mpirun"); do
		cat "/proc/$p/environ" 2>/dev/null | tr "\0" "\n" | grep -qx "OMPI_COMM_WORLD_RANK=$1" && echo "$p" && return
	done
}
begin() {
	rm -rf "$DIR/o"
	post /reset >/dev/null
	timeout -k 5 150 "$PROGRAM" launch -n 8 compile "$DIR/job.json" --out="$DIR/o" >"$DIR/out" 2>"$DIR/err" &
	pid=$!
	until [ -f "$DIR/o/journal" ] && [ "$(wc -c <"$DIR/o/journal")" -gt "$1" ]; do sleep 0.02; done
	launcher=$(pgrep -P $pid)
	mpirun=$(pgrep -P "$launcher")
}
happened() { # at once after it: what is in the journal was asked for, and none of it again yet
	known "$DIR/o/journal" && [ "$MORE" = 0 ] && told=yes || told="no: $MORE again, of $KNOWN"
}
# finish WHAT LOST: the same program; of the calls that were journaled when it happened none is made again; and no
# more than were asked and not journaled at the lost ranks
finish() {
	wait $pid
	rc=$?
	spent=$(stat_of requests) again=$(stat_of known_again)
	if [ $rc = 0 ] && cmp -s "$DIR/o/program.json" "$DIR/whole/program.json" && [ "$told $again" = "yes 0" ] && [ $spent -le $((calls + $2)) ]; then
		ok "$1: the same program, 0 of $KNOWN journaled calls again, $((spent - calls)) lost of $calls"
	else
		not_ok "$1: exit $rc, told by the journal: $told; $again of $KNOWN journaled calls again, $((spent - calls)) lost of $calls" "$DIR/err"
	fi
}
i=0
while [ $i -lt "$RUNS" ]; do
	i=$((i + 1))
	begin $((i * 7919 % 20000 + 4000))
	kill -9 "$(rank_pid 2)" "$(rank_pid 5)"
	kill -STOP "$(rank_pid 7)"
	happened
	finish "two workers killed, one stopped" 14
	check "in the same attempt" [ "$(grep -c 'is lost; its work' "$DIR/err") $(grep -c 'attempt' "$DIR/err")" = "3 0" ]
	begin $((i * 6101 % 20000 + 4000))
	if [ $((i % 2)) = 1 ]; then kill -9 "$(rank_pid 0)"; else kill -STOP "$(rank_pid 0)"; fi
	happened
	finish "the coordinator killed or stopped" 21 # what the workers have: 14 places, and one ahead each
	check "after one restart" [ "$(grep -c 'attempt' "$DIR/err")" = 1 ]
done
