# Whose fault it is that there is no score, row by row of src/README.md §5: what the way causes is absent and never
# scored, what the candidate causes counts, a refusal counts beside an answer and for nobody beside a refusal, and a
# server that refuses all ends the run.
. tests/lib.sh
plan 48
"$MOCK" --make-data 60 3 0 >"$DIR/train.jsonl"
job() { # job URLS MORE: start and one labelled program on 60 examples
	cat >"$DIR/job.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "train.jsonl", "failure_score": 0.25,
 "metric": "answer_exact_match", "optimizer": {"name": "labeled_few_shot"},
 "lm": {"model": "hosted_vllm/any", "api_base": [$1], "num_retries": 1, "concurrency": 8$2}, "out": "o"}
EOF
}
rows() { grep -c "$1" "$DIR/o/predictions.jsonl"; }
n_of() { echo $(($(json valset.baseline.n "$DIR/out") + $(json valset.compiled.n "$DIR/out"))); }
failed_of() { echo $(($(json valset.baseline.failed "$DIR/out") + $(json valset.compiled.failed "$DIR/out"))); }

# Refusals, in whatever words: failure_score where the other program got an answer, out where it did not
for kind in 400:refused 422:refused content_filter:content_filter filter_reason:content_filter \
	400_context:context_overflow 400_context_vllm:context_overflow; do
	class=${kind#*:} kind=${kind%:*}
	start_mock --rule planted --seed 3 --fault $kind=.3
	job "\"$MOCK_URL\""
	run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
	out=$(rows "\"score\": null, \"error\": \"$class\"")
	counted=$(rows "\"score\": 0.25, \"error\": \"$class\"")
	check "$kind: $counted of 120 count beside an answer as $class, $out beside each other are out" [ $((counted > 15 && out > 2 && out % 2 == 0)) = 1 ]
	check "on the same examples: $(n_of) count, $(failed_of) failed" [ "$(json valset.baseline.n "$DIR/out") $(json valset.compiled.n "$DIR/out") $(failed_of) $(rows '"error": "')" = "$((60 - out / 2)) $((60 - out / 2)) $((out + counted)) $((out + counted))" ]
	stop_mock
done

# The candidate: failure_score, in a class of its own
start_mock --rule planted --seed 3 --fault no_parse=.3
job "\"$MOCK_URL\""
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
counted=$(rows '"score": 0.25, "error": "parse"')
check "no_parse: $counted of 120 have failure_score as parse, and all count" [ "$counted $(n_of)" = "$(failed_of) 120" ]
stop_mock

# JSON mode that is refused leaves the answer what it was: it does not parse
for kind in 400 422 400_context; do
	start_mock --rule planted --seed 3 --poison "item 3:no_parse" --format-fault $kind
	job "\"$MOCK_URL\""
	run 0 mpirun --oversubscribe -n 4 "$PROGRAM" eval "$DIR/job.json" --lm.model=openai/gpt-4o-mini
	code=400
	[ $kind = 422 ] && code=422
	check "JSON mode says $kind: asked once with each format: $(stat_of statuses)" [ "$(stat_of statuses)" = "{\"200\":60,\"$code\":2}" ]
	check "$(json valset.parse "$DIR/out") do not parse, and all count" [ "$(json valset.n "$DIR/out") $(json valset.failed "$DIR/out") $(($(json valset.parse "$DIR/out") > 5))" = "60 $(json valset.parse "$DIR/out") 1" ]
	run 0 "$PROGRAM" eval "$DIR/job.json" --lm.model=openai/gpt-4o-mini --adapter=json
	check "where all is asked in JSON mode, it is asked without: $(json valset.refused "$DIR/out") refused" [ "$(json valset.refused "$DIR/out") $(json valset.failed "$DIR/out")" = "0 $(json valset.parse "$DIR/out")" ]
	stop_mock
done

start_mock --rule planted --seed 3 --max-model-len 300
job "\"$MOCK_URL\""
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh --optimizer='{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 2}'
check "candidates whose prompts do not fit are dropped ($(cut -d, -f2,3 "$DIR/o/trials.csv" | tr '\n' ' '))" [ "$(grep -c '"role": "assistant"' "$DIR/o/program.json"),$(grep -c demos "$DIR/o/program.json")" = 0,1 ]
check "the winner fits" [ "$(rows '"program": "compiled".*context_overflow')" = 0 ]
stop_mock
cut -d, -f2-6,11 "$DIR/o/trials.csv" >"$DIR/trials"
mv "$DIR/o/program.json" "$DIR/program"
# vLLM's, as above; TGI's, Gemini's, Bedrock's and nginx's; a limit of speed that no waiting helps against; one of our own
while read -r words; do
	start_mock --rule planted --seed 3 --max-model-len 300 --too-long "$words"
	job "\"$MOCK_URL\""
	run 0 "$PROGRAM" compile "$DIR/job.json" --fresh --optimizer='{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 2}'
	cut -d, -f2-6,11 "$DIR/o/trials.csv" >"$DIR/trials.now"
	check "the same winner and scores in other words: $words" sh -c "cmp '$DIR/o/program.json' '$DIR/program' && cmp '$DIR/trials.now' '$DIR/trials'"
	stop_mock
done <<'EOF'
422:{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 300. Given: 350","error_type":"validation"}
400:[{"error":{"code":400,"message":"The input token count (350) exceeds the maximum number of tokens allowed (300).","status":"INVALID_ARGUMENT"}}]
400:{"message":"Input is too long for requested model."}
413:<html><head><title>413 Request Entity Too Large</title></head></html>
413:{"error":{"message":"Request too large on tokens per minute (TPM)","type":"tokens","code":"rate_limit_exceeded"}}
451:Das steht hier nicht
EOF
start_mock --rule planted --seed 3 --max-model-len 10
job "\"$MOCK_URL\""
check "if the start program does not fit, that is said" run 65 "$PROGRAM" compile "$DIR/job.json" --fresh --optimizer=bootstrap_few_shot_with_random_search
check "with the server's words" said "maximum context length"
stop_mock

# 403 and 404 to one request of a server that answers others are that request's, at any number of ranks and servers
for kind in 403 404; do
	start_mock --rule planted --seed 3 --poison "item 3:$kind"
	first=$MOCK_URL
	start_mock --rule planted --seed 3 --poison "item 3:$kind"
	job "\"$MOCK_URL\""
	run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
	rm -rf "$DIR/o1"
	mv "$DIR/o" "$DIR/o1"
	run 0 mpirun --oversubscribe -n 5 "$PROGRAM" compile "$DIR/job.json" --fresh
	check "$kind: $(json valset.baseline.refused "$DIR/out") of 60 are refused, alike in one process and on 5 ranks" [ "$(cmp "$DIR/o/predictions.jsonl" "$DIR/o1/predictions.jsonl" && cmp "$DIR/o/program.json" "$DIR/o1/program.json" && echo $(($(json valset.baseline.refused "$DIR/out") > 5)) $(json valset.compiled.n "$DIR/out"))" = "1 $((60 - $(json valset.baseline.refused "$DIR/out")))" ]
	job "\"$first\", \"$MOCK_URL\""
	run 0 mpirun --oversubscribe -n 5 "$PROGRAM" compile "$DIR/job.json" --fresh
	check "and none of two servers is left out for it" [ "$(cmp "$DIR/o/program.json" "$DIR/o1/program.json" && grep -c 'left out' "$DIR/err")" = 0 ]
	stop_mock
done
start_mock --rule planted --seed 3 --fail-after 50
port=${MOCK_URL#http://127.0.0.1:}
port=${port%/v1}
job "\"$MOCK_URL\"" ', "outage": 1, "concurrency": 1'
run 75 "$PROGRAM" compile "$DIR/job.json" --fresh
start_mock --rule planted --seed 3 --port "$port" --poison "item 5:403"
check "also when they are the first that a resumed run asks" run 0 "$PROGRAM" compile "$DIR/job.json"
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
