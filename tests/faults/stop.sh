# Asked to stop - by USR1, TERM, INT, HUP, a deadline, a stop file - a compile saves what it has, exits 75, and goes on from
# there when it is started again; under mpirun and the launcher too.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan 20
start_mock --rule planted --seed 9 --latency 60
"$MOCK" --make-data 60 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 40 9 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 6},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 8}}
EOF
run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole"
calls=$(stat_of requests)
resumed() { # the run in OUT goes on and ends as the whole one
	before=$(stat_of requests)
	run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o" && cmp -s "$DIR/o/program.json" "$DIR/whole/program.json" &&
		[ $(($(stat_of requests) - before)) -lt "$calls" ] && said "resumed"
}
for signal in USR1 TERM INT HUP; do
	rm -rf "$DIR/o"
	shut
	"$PROGRAM" compile "$DIR/job.json" --out="$DIR/o" --lm.api_base="$SLOW_URL" >"$DIR/out" 2>"$DIR/err" &
	pid=$!
	under_way $pid "$DIR/o"
	kill -$signal $pid
	wait $pid
	rc=$?
	check "$signal: exit $rc" [ $rc = 75 ]
	[ "$(json status "$DIR/o/status.json")" = stopped ] && resumed && ok "stopped in order, and resumed to the same program" || not_ok "resume after $signal" "$DIR/err" "$DIR/out"
done
rm -rf "$DIR/o"
check "--deadline: exit 75" run 75 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o" --deadline=0.5s
check "the last line says why" [ "$(json reason "$DIR/out")" = deadline ]
check "resumed to the same program" resumed
rm -rf "$DIR/o"
shut
setsid "$PROGRAM" launch -n 3 compile "$DIR/job.json" --out="$DIR/o" --lm.api_base="$SLOW_URL" >"$DIR/out" 2>"$DIR/err" &
pid=$!
under_way $pid "$DIR/o"
kill -INT $pid
wait $pid
rc=$?
check "the launcher hands it on: exit $rc" [ $rc = 75 ]
check "resumed by one process to the same program" resumed
check "no process of it is left" sh -c "! pgrep -s $pid >/dev/null"

# A stop file is seen while the run goes on; calls in flight end, and are journaled
rm -rf "$DIR/o"
check "stop: nothing is running" run 0 "$PROGRAM" stop "$DIR"
check "said" said "nothing is running"
before=$(stat_of requests)
shut
"$PROGRAM" compile "$DIR/job.json" --out="$DIR/o" --lm.api_base="$SLOW_URL" >"$DIR/out.1" 2>"$DIR/err.1" &
pid=$!
under_way $pid "$DIR/o"
"$PROGRAM" stop "$DIR/o" 2>/dev/null
wait $pid
rc=$?
check "stop OUT: exit $rc, before the end: $(($(stat_of requests) - before)) calls of $calls" [ "$rc $(json reason "$DIR/o/status.json") $(($(stat_of requests) - before < calls))" = "75 stop file 1" ]
run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o"
spent=$(($(stat_of requests) - before))
check "nothing in flight was lost: $spent calls for $calls" [ $spent = "$calls" ]
check "the same program" cmp -s "$DIR/o/program.json" "$DIR/whole/program.json"
rm -rf "$DIR/o"
"$PROGRAM" compile "$DIR/job.json" --out="$DIR/o" --lm.concurrency=1 >"$DIR/out" 2>"$DIR/err" &
pid=$!
until [ -s "$DIR/o/journal" ]; do sleep 0.02; done
kill -USR1 $pid
sleep 0.6
kill -USR1 $pid 2>/dev/null
wait $pid
rc=$?
check "a second signal ends it, exit $rc" [ "$rc $(json status "$DIR/o/status.json")" = "75 stopped" ]
