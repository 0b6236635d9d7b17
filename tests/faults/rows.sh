# Whose fault it is that there is no score, row by row of src/README.md §5: what the example or the way causes is
# absent and never scored, what the candidate causes counts, what the server refuses ends the run.
. tests/lib.sh
plan 26
"$MOCK" --make-data 60 3 0 >"$DIR/train.jsonl"
job() { # job URLS MORE: start and one labelled program on 60 examples
	cat >"$DIR/job.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "train.jsonl", "failure_score": 0.25,
 "metric": "answer_exact_match", "optimizer": {"name": "labeled_few_shot"},
 "lm": {"model": "hosted_vllm/any", "api_base": [$1], "num_retries": 1, "concurrency": 8 $2}, "out": "o"}
EOF
}
rows() { grep -c "$1" "$DIR/o/predictions.jsonl"; }
n_of() { echo $(($(json valset.baseline.n "$DIR/out") + $(json valset.compiled.n "$DIR/out"))); }
failed_of() { echo $(($(json valset.baseline.failed "$DIR/out") + $(json valset.compiled.failed "$DIR/out"))); }

# The example: absent for everybody, counted, never 0
for kind in 400:refused 422:refused content_filter:content_filter filter_reason:content_filter; do
	class=${kind#*:} kind=${kind%:*}
	start_mock --rule planted --seed 3 --fault $kind=.3
	job "\"$MOCK_URL\""
	run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
	absent=$(rows "\"score\": null, \"error\": \"$class\"")
	check "$kind: $absent of 120 absent as $class" [ "$absent" -gt 20 ]
	check "and none of them scored: $(n_of) count, $(failed_of) failed" [ "$(n_of) $(failed_of) $(rows '"error": "')" = "$((120 - absent)) $absent $absent" ]
	stop_mock
done

# The candidate: failure_score, in a class of its own
for kind in 400_context:context_overflow 400_context_vllm:context_overflow no_parse:parse; do
	class=${kind#*:} kind=${kind%:*}
	start_mock --rule planted --seed 3 --fault $kind=.3
	job "\"$MOCK_URL\""
	run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
	counted=$(rows "\"score\": 0.25, \"error\": \"$class\"")
	check "$kind: $counted of 120 have failure_score as $class, and all count" [ "$counted $(n_of)" = "$(failed_of) 120" ]
	stop_mock
done
start_mock --rule planted --seed 3 --max-model-len 300
job "\"$MOCK_URL\""
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh --optimizer='{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 2}'
check "candidates whose prompts do not fit are dropped ($(cut -d, -f2,3 "$DIR/o/trials.csv" | tr '\n' ' '))" [ "$(grep -c '"role": "assistant"' "$DIR/o/program.json"),$(grep -c demos "$DIR/o/program.json")" = 0,1 ]
check "the winner fits" [ "$(rows '"program": "compiled".*context_overflow')" = 0 ]
stop_mock
start_mock --rule planted --seed 3 --max-model-len 10
job "\"$MOCK_URL\""
check "if the start program does not fit, that is said" run 69 "$PROGRAM" compile "$DIR/job.json" --fresh --optimizer=bootstrap_few_shot_with_random_search
check "with the server's words" said "maximum context length"
stop_mock

# The way: nothing is lost in an outage that ends, and one that lasts stops the run in order
start_mock --rule planted --seed 3
job "\"$MOCK_URL\""
run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole"
calls=$(stat_of requests)
stop_mock
start_mock --rule planted --seed 3 --fail-after 50
port=${MOCK_URL#http://127.0.0.1:}
port=${port%/v1}
job "\"$MOCK_URL\"" ', "outage": 2'
SECONDS_LIMIT=60 run_timed 75 "$PROGRAM" compile "$DIR/job.json" --fresh
check "a server that dies: stopped after $TOOK ms, exit 75" [ "$(json reason "$DIR/out")" = outage ]
start_mock --rule planted --seed 3 --port "$port"
run 0 "$PROGRAM" compile "$DIR/job.json"
check "resumed when it is back: the same program" cmp -s "$DIR/o/program.json" "$DIR/whole/program.json"
check "with the calls that were missing ($(stat_of requests) of $calls)" [ $((50 + $(stat_of requests))) -le $((calls + 8)) ]
stop_mock
start_mock --rule planted --seed 3 --fail-after 50
port=${MOCK_URL#http://127.0.0.1:}
port=${port%/v1}
job "\"$MOCK_URL\"" ', "outage": 60'
"$PROGRAM" compile "$DIR/job.json" --fresh >"$DIR/out" 2>"$DIR/err" &
pid=$!
wait "$MOCK_PID"
sleep 6 # longer than the retries of a call
start_mock --rule planted --seed 3 --port "$port"
wait $pid
check "a server that restarts: the run goes on, exit $?" cmp -s "$DIR/o/predictions.jsonl" "$DIR/whole/predictions.jsonl"
stop_mock

start_mock --rule planted --seed 3 --latency 2500
job "\"$MOCK_URL\"" ', "outage": 1, "concurrency": 64'
check "a server that is only slow is waited for" run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
stop_mock
start_mock --rule planted --seed 3 --stall-after 0
job "\"$MOCK_URL\"" ', "outage": 1, "timeout": 2'
SECONDS_LIMIT=60 run_timed 69 "$PROGRAM" compile "$DIR/job.json" --fresh
check "one that takes calls and never answers is given up after timeout and outage ($TOOK ms): $(stat_of requests) calls" [ "$timed $(stat_of requests)" = "0 1" -o "$timed $(stat_of requests)" = "0 2" ]
stop_mock

# The endpoint: one sentence; left out if there are others
for kind in 401 403 404 redirect quota; do
	start_mock --rule planted --seed 3
	good=$MOCK_URL
	start_mock --rule planted --seed 3 --fault $kind=1
	job "\"$MOCK_URL\""
	SECONDS_LIMIT=60 run 69 "$PROGRAM" compile "$DIR/job.json" --fresh || rc=
	lines=$(grep -c 'dspy-mpi: http' "$DIR/err")
	job "\"$MOCK_URL\", \"$good\""
	run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
	check "$kind: one sentence, and left out if there is another" [ "$rc $lines $(cmp "$DIR/o/program.json" "$DIR/whole/program.json" && grep -c 'left out' "$DIR/err")" = "0 1 1" ]
	stop_mock
done
