# Servers that are dead, wrong or ill: one sentence and an exit code; and what is worth
# trying again is tried again without a trace in the result.
. tests/lib.sh
plan 24
"$MOCK" --make-data 40 1 0 >"$DIR/train.jsonl"
job() { # job URL MORE: a job with one server
	cat >"$DIR/job.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset_size": 20, "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 1},
 "lm": {"model": "hosted_vllm/any", "api_base": "$1", "concurrency": 8, "num_retries": ${RETRIES:-1} $2}, "out": "o"}
EOF
}
fails() { # fails NAME CODE WORDS: compile ends with CODE, and its one sentence says WORDS
	if SECONDS_LIMIT=60 run_timed "$2" "$PROGRAM" compile "$DIR/job.json" --fresh && said "$3" && tail -1 "$DIR/err" | grep -q "^dspy-mpi: "; then
		ok "$1 ($TOOK ms): $(tail -1 "$DIR/err" | cut -c1-200)"
	else
		not_ok "$1" "$DIR/err" "$DIR/out"
	fi
}
job http://127.0.0.1:9/v1
fails "a dead server" 69 "connect"
job http://127.0.0.1:9/v1 ', "wait": 1'
fails "a dead server, waited for" 69 "connect"
start_mock --key right-key-123 --rule planted
job "$MOCK_URL"
fails "no key where one is needed" 69 "401"
job "$MOCK_URL" ', "api_key_env": "TEST_KEY"'
TEST_KEY=wrong-key-123 fails "a wrong key" 69 "check the key"
check "the key is not in what was said" sh -c "! grep -q wrong-key $DIR/err $DIR/out"
fails "a key that is named and not there" 69 "there is no TEST_KEY in the environment"
echo right-key-123 >"$DIR/key"
job "$MOCK_URL" ", \"api_key_file\": \"$DIR/key\""
check "a key from a file" run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
check "goes to the server and not into OUT" sh -c "! grep -rq right-key $DIR/o $DIR/err $DIR/out"
stop_mock
start_mock --model other --rule planted
job "$MOCK_URL"
fails "an unknown model" 69 "404"
stop_mock
for kind in 403 redirect quota; do
	start_mock --rule planted --fault $kind=1
	job "$MOCK_URL"
	fails "every answer $kind" 69 "127.0.0.1"
	stop_mock
done
for kind in wrong_json truncated_json empty_choices huge_body no_parse 400; do
	start_mock --rule planted --fault $kind=1
	job "$MOCK_URL"
	if [ $kind = no_parse ] || [ $kind = 400 ]; then words="no " code=69; else words="attempts" code=69; fi
	fails "every answer $kind" $code "$words"
	stop_mock
done
start_mock --rule planted --fault stall_body=1
job "$MOCK_URL" ', "timeout": 0.5'
fails "every answer stalls" 69 "imeout"
stop_mock

# What can be tried again leaves no trace: the program and the scores are those of the undisturbed run.
start_mock --rule planted
job "$MOCK_URL"
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
cp "$DIR/o/program.json" "$DIR/undisturbed.json"
stop_mock
RETRIES=12
start_mock --rule planted --seed 1 --retry-after 0 \
	--fault 429_plain=.02,429=.02,500=.02,503=.02,529=.01,408=.01,reset_before_headers=.02,reset_after_headers=.02,truncated_json=.02,wrong_json=.01,empty_choices=.01,invalid_utf8=.03,wrong_length=.01,error_in_200=.01
job "$MOCK_URL" ', "timeout": 5'
SECONDS_LIMIT=200 run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
check "24 % of the answers spoilt ($(stat_of faulted) of them): the same program" cmp -s "$DIR/o/program.json" "$DIR/undisturbed.json"
stop_mock
start_mock --rule planted --fault duplicate_answer=.3
job "$MOCK_URL"
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
check "answers that come twice: the same program" cmp -s "$DIR/o/program.json" "$DIR/undisturbed.json"
stop_mock
start_mock --rule planted --fault garbage=.5
job "$MOCK_URL"
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
check "half of the chat answers do not parse: asked again in JSON mode" grep -q 'in JSON mode' "$DIR/err"
for f in o/program undisturbed; do sed '/"metadata"/,$d' "$DIR/$f.json" >"$DIR/$(basename $f).state"; done
check "and the program is the same (its rates of JSON mode are not)" cmp -s "$DIR/program.state" "$DIR/undisturbed.state"
stop_mock
RETRIES=1
start_mock --rule planted --fault 503=1
job "$MOCK_URL" ', "wait": 1'
SECONDS_LIMIT=60 run_timed 69 "$PROGRAM" compile "$DIR/job.json" --fresh && ended=yes || ended=no
check "a server that says 503 from the start is waited for, and no longer ($TOOK ms)" [ "$ended" = yes -a "$TOOK" -gt 1000 -a "$(stat_of requests)" -le 5 ]
