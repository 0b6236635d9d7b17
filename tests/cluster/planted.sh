# A planted world behind the mock server: right or wrong depends on the question and on which demonstrations
# are shown, in a known way (tests/mock_lm/rules.h). An optimizer that ignored demonstrations or scores
# would fail here. Calls are counted against DSPy's loops.
. tests/lib.sh
plan 18
start_mock --rule planted --seed 3
"$MOCK" --make-data 80 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 60 3 1000 >"$DIR/val.jsonl"
"$MOCK" --make-data 200 3 5000 >"$DIR/test.jsonl"
sed 's/"answer": "[a-z]*"/"answer": "red"/' "$DIR/train.jsonl" >"$DIR/wrong.jsonl"
cat >"$DIR/job.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "testset": "test.jsonl",
 "metric": "answer_exact_match", "optimizer": {"name": "labeled_few_shot"},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 32}}
EOF
score() { json "testset.$1.score" "$DIR/out"; }
more() { awk -v a="$1" -v b="$2" -v by="$3" 'BEGIN { exit !(b > a + by) }'; }

run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/l"
labeled=$(score compiled)
check "labeled_few_shot: demonstrations are shown, and help ($(score baseline) -> $labeled)" more "$(score baseline)" "$labeled" 0.15
run 0 "$PROGRAM" compile "$DIR/job.json" --trainset="$DIR/wrong.jsonl" --out="$DIR/w"
check "wrong labels in them hurt ($labeled -> $(score compiled))" more "$(score compiled)" "$labeled" 0.15
run 0 "$PROGRAM" compile "$DIR/job.json" --optimizer=bootstrap_few_shot --out="$DIR/b"
check "bootstrap_few_shot: $(score baseline) -> $(score compiled)" more "$(score baseline)" "$(score compiled)" 0.15
check "its demonstrations are the teacher's own right answers" [ "$(grep -c '"augmented": true' "$DIR/b/program.json")" = 4 ]
run 0 "$PROGRAM" compile "$DIR/job.json" --optimizer=bootstrap_few_shot_with_random_search --optimizer.num_candidate_programs=6 --out="$DIR/r"
best=$(sort -t, -k3,3nr "$DIR/r/trials.csv" | head -1 | cut -d, -f3)
won=$(awk -F, '$11 == 1 { print $3 }' "$DIR/r/trials.csv")
check "random search returns the best of what it scored ($won of $best)" [ "$won" = "$best" ]
check "and the candidates differ in score" [ "$(cut -d, -f3 "$DIR/r/trials.csv" | sed 1d | sort -u | wc -l)" -gt 3 ]

run 0 "$PROGRAM" compile "$DIR/job.json" --program='{"predict": {"signature": "question -> answer", "instructions": "Look carefully and answer exactly."}}' --out="$DIR/i"
check "the instruction is sent, and helps ($(score baseline) with a good one)" more 0.3 "$(score baseline)" 0.05

# DSPy's calls for the same: bootstrapping stops at the fourth success, in order; each candidate is scored
# on the whole validation set; start and winner then on the test set.
sed 's/"valset": "val.jsonl", "testset": "test.jsonl",/ /' "$DIR/job.json" >"$DIR/bare.json"
stop_mock
start_mock --rule planted --seed 3 --record "$DIR/asked"
run 0 "$PROGRAM" compile "$DIR/bare.json" --lm.api_base="$MOCK_URL" --optimizer=bootstrap_few_shot --out="$DIR/c"
tried=$(stat_of requests) # DSPy: examples up to the fourth success
last=$(grep -o 'item [0-9]*' "$DIR/c/program.json" | head -4 | tail -1 | cut -d' ' -f2)
check "bootstrapping asked for $tried examples, the fourth success is number $((last + 1))" [ "$tried" = $((last + 1)) ]
check "each once" [ "$(stat_of repeats)" = 0 ]
stop_mock
start_mock --rule planted --seed 3
run 0 "$PROGRAM" compile "$DIR/job.json" --lm.api_base="$MOCK_URL" --optimizer='{"name":"bootstrap_few_shot_with_random_search","num_candidate_programs":0,"max_bootstrapped_demos":0}' --out="$DIR/d"
# three candidates: as written, labelled, and "bootstrapped" to none; the last two may be one program
winner_is_start=$(cmp -s "$DIR/d/candidates/000.json" "$DIR/d/program.json" && echo 1 || echo 2)
distinct=$(for f in "$DIR"/d/candidates/*.json; do sed '/"metadata"/,$d' "$f" | sha256sum; done | sort -u | wc -l)
expected=$((distinct * 60 + winner_is_start * 200))
check "random search: $(stat_of requests) calls, $distinct programs on 60 and $winner_is_start on 200 examples" [ "$(stat_of requests)" = $expected ]

# The calls that DSPy 3.4.1 made on this world (scripts/check-dspy-runs compares the programs too).
stop_mock
one='{"predict": "question -> answer"}'
two='{"steps": [{"name": "think", "chain_of_thought": "question -> answer"}, {"name": "say", "predict": "question, reasoning -> answer"}]}'
cat >"$DIR/counted.json" <<EOF
{"program": $one, "trainset": "train.jsonl", "inputs": ["question"], "metric": "answer_exact_match", "optimizer": {"name": "labeled_few_shot"},
 "lm": {"model": "hosted_vllm/any"}}
EOF
counts() { # counts PROGRAM OPTIMIZER CALLS [FLAG]
	start_mock --rule planted --seed 3
	run 0 "$PROGRAM" compile "$DIR/counted.json" --program="$1" --optimizer="$2" --lm.api_base="$MOCK_URL" --out="$DIR/n" --fresh ${4:+"$4"}
	check "$2, $(echo "$1" | grep -o '"predict"\|"chain_of_thought"' | grep -c .) predictor(s): $(stat_of requests) calls, DSPy's $3" [ "$(stat_of requests)" = "$3" ]
	stop_mock
}
bootstrap='{"name": "bootstrap_few_shot", "max_bootstrapped_demos": 3, "max_labeled_demos": 6}'
rounds='{"name": "bootstrap_few_shot", "max_bootstrapped_demos": 12, "max_labeled_demos": 12, "max_rounds": 2}'
search='{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 5}'
counts "$one" '{"name": "labeled_few_shot", "k": 5}' 0
counts "$one" "$bootstrap" 4
counts "$one" "$rounds" 25
counts "$one" "$search" 497 --valset="$DIR/val.jsonl"
counts "$two" '{"name": "labeled_few_shot", "k": 5}' 0
counts "$two" "$bootstrap" 8
counts "$two" "$rounds" 38
counts "$two" "$search" 994 --valset="$DIR/val.jsonl"
