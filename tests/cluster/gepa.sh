# GEPA over HTTP: the same program at any number of ranks, over kills and under caps; what a metric says beside its
# score, and an answer that cannot be read, reach the reflection; a prompt model that gives nothing usable ends it.
# ROUNDS, MIN_HITS: of kills. BIG=1: 50 kills for each of both searches with one predictor and with three, and up to 64
# ranks: TEST_SECONDS=3600 (in the simulation, 50 kills behind any record: BIG=1 make unit FILTER='gepa_runs/*').
# Whether its decisions are gepa's own: tests/golden/golden_gepa.c and scripts/check-dspy-runs.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
kinds="one two" killed="two:gepa"
[ "${BIG:-}" ] && : "${ROUNDS:=17}" "${RANKS:=2 5 16 64}" && kinds="one two three" killed="one:gepa one:parallel three:gepa three:parallel"
ROUNDS=${ROUNDS:-1}
RANKS=${RANKS:-"2 5"}
rows() { # rows FROM TO
	seq "$1" "$2" | sed 's/.*/{"question": "q&", "answer": "yes"}/'
}
rows 0 14 >"$DIR/train.jsonl"
rows 100 114 >"$DIR/val.jsonl"
start_mock --rule tokens --mark yes --latency 5
one='{"predict": {"signature": "question -> answer", "instructions": "Answer."}}'
two='{"steps": [{"name": "a", "predict": {"signature": "question -> hint", "instructions": "Answer."}},
                {"name": "b", "predict": {"signature": "question, hint -> answer", "instructions": "Answer."}}]}'
# shellcheck disable=SC2034
three='{"steps": [{"name": "a", "predict": {"signature": "question -> hint", "instructions": "Answer."}},
                  {"name": "b", "predict": {"signature": "question, hint -> clue", "instructions": "Answer."}},
                  {"name": "c", "predict": {"signature": "question, clue -> answer", "instructions": "Answer."}}]}'
job() { # job PROGRAM OPTIMIZER [METRIC]
	cat >"$DIR/job.json" <<EOF
{"program": $1, "trainset": "train.jsonl", "valset": "val.jsonl", "inputs": ["question"], "metric": ${3:-\"answer_exact_match\"},
 "optimizer": {"name": "gepa", $2}, "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16}}
EOF
}

for kind in $kinds; do
	eval "program=\$$kind"
	# shellcheck disable=SC2154
	job "$program" '"max_metric_calls": 200'
	for arguments in --seed=0 --optimizer.search=gepa '--optimizer.search=gepa --optimizer.sampling_strategy=same_parent' --budget.calls=120; do
		# shellcheck disable=SC2086
		compile_at 1 "$DIR/w" $arguments
		# shellcheck disable=SC2086
		same_at_ranks $? $arguments
		check "program $kind, $arguments, at 1 $RANKS ranks: $same" [ "$same" = yes ]
	done
done

for case in $killed; do
	eval "program=\$${case%:*}"
	budget=300
	[ "$case" = three:gepa ] && budget=700 # with less it finds nothing better
	job "$program" "\"max_metric_calls\": $budget, \"search\": \"${case#*:}\""
	post /reset >/dev/null
	check "$case: the undisturbed run" compile_at 1 "$DIR/whole"
	check "it is better than the start: $(json valset.compiled.score "$DIR/out")" awk -v a="$(json valset.baseline.score "$DIR/out")" -v b="$(json valset.compiled.score "$DIR/out")" 'BEGIN { exit !(b > a) }'
	calls=$(stat_of requests)
	post /whole >/dev/null
	rounds_of_kills "$calls"
	rm -rf "$DIR/whole"
done

# what a metric says is shown to the prompt model, and so is an answer that could not be read
cat >"$DIR/metric.py" <<'EOF'
def metric(example, prediction, trace=None, pred_name=None, pred_trace=None):
    assert trace is None and pred_trace is None  # as DSPy scores; a stricter rule for traces is for bootstrapping
    right = example.answer == prediction.answer
    return {"score": float(right), "feedback": f"{example.question} wants the other word" if not right else "well done"}
EOF
start_mock --rule tokens --record "$DIR/bodies"
job "$one" '"max_metric_calls": 60' "{\"command\": [\"python3\", \"$PWD/scripts/metric-host\", \"$DIR/metric.py:metric\"]}"
check "a metric with feedback" compile_at 1 "$DIR/f"
check "its words are shown to the prompt model" grep -q 'current_instruction.*q[0-9]* wants the other word' "$DIR/bodies"
check "also those on what was right" grep -q 'current_instruction.*well done' "$DIR/bodies"

# in exact mode an answer in JSON that is read in part leaves no trace, as in DSPy: no reflection is shown it
rm -rf "$DIR/f" "$DIR/bodies"
cat >"$DIR/parts.jsonl" <<'X'
{"match": "current_instruction", "content": "{\"new_instruction\": \"Better.\"}"}
{"match": "q5", "content": "{\"reasoning\": \"r\"}"}
{"match": "q", "content": "{\"reasoning\": \"r\", \"answer\": \"no\"}"}
X
start_mock --rule script:"$DIR/parts.jsonl" --record "$DIR/bodies"
job '{"chain_of_thought": "question -> answer"}' '"search": "gepa", "max_metric_calls": 60, "reflection_minibatch_size": 1, "add_format_failure_as_feedback": true'
check "answers that are read in part" compile_at 1 "$DIR/f"
check "others are reflected on" grep -q 'current_instruction.*q[0-46-9]' "$DIR/bodies"
check "they are not" [ "$(grep -c 'current_instruction.*q5' "$DIR/bodies")" = 0 ]
rm -rf "$DIR/f" "$DIR/bodies"

# a judge as the metric, and one in a sum: what it says reaches the reflection, what cannot be read is no 0, all of it
# is counted as the judge's; the same at any number of ranks
rm -rf "$DIR/f" "$DIR/bodies"
start_mock --rule tokens --record "$DIR/bodies"
TASK_URL=$MOCK_URL
cat >"$DIR/judge.jsonl" <<'X'
{"match": "q103", "content": "[[ ## right ## ]]\nmaybe\n\n[[ ## why ## ]]\nunsure\n\n[[ ## completed ## ]]"}
{"match": "yes\n\n[[ ## predicted_answer ## ]]\nyes", "content": "[[ ## right ## ]]\nTrue\n\n[[ ## why ## ]]\nthe same word\n\n[[ ## completed ## ]]"}
{"match": "predicted_answer", "content": "[[ ## right ## ]]\nFalse\n\n[[ ## why ## ]]\nthe judge wants the other word\n\n[[ ## completed ## ]]"}
X
start_mock --rule script:"$DIR/judge.jsonl"
JUDGE_URL=$MOCK_URL
own='"judge": "question, answer, predicted_answer -> right: bool, why", "score": "right", "feedback": "why"'
for metric in "{$own}" "{\"sum\": [{\"metric\": \"exact_match\", \"weight\": 1}, {$own, \"weight\": 2}]}"; do
	MOCK_URL=$TASK_URL
	job "$two" '"max_metric_calls": 150' "$metric"
	sed -i "s|\"concurrency\": 16}}|\"concurrency\": 16}, \"lms\": {\"judge\": {\"model\": \"hosted_vllm/judge\", \"api_base\": \"$JUDGE_URL\"}}}|" "$DIR/job.json"
	post /reset >/dev/null
	MOCK_URL=$JUDGE_URL post /reset >/dev/null
	compile_at 1 "$DIR/w" --seed=2
	code=$? asked=$(MOCK_URL=$JUDGE_URL stat_of requests) others=$(MOCK_URL=$TASK_URL stat_of requests)
	check "$(echo "$metric" | cut -c1-8)...: its calls are told apart: $asked and $others" [ "$(json judge.calls "$DIR/out") $(json calls "$DIR/out")" = "$asked $((asked + others))" ]
	check "what it cannot say is no score: $(sed -n 2p "$DIR/w/trials.csv")" [ "$(sed -n 2p "$DIR/w/trials.csv" | cut -d, -f6)" = 14 ]
	same_at_ranks $code --seed=2
	check "it is the same program at 1 $RANKS ranks: $same" [ "$same" = yes ]
done
check "what the judge says is shown to the prompt model" grep -q 'current_instruction.*the judge wants the other word' "$DIR/bodies"
check "and what each part of a sum came to" grep -q 'current_instruction.*Of it: exact_match 0, judge 0' "$DIR/bodies"
run 0 "$PROGRAM" plan "$DIR/job.json"
check "plan has the judge's calls, and they were no more" awk -v n="$asked" '/^judge / { gsub(",", ""); ok = $0 ~ /[0-9]/; for (i = 2; i <= NF; i++) if ($i + 0 > most) most = $i + 0 } END { exit !(ok && most >= n) }' "$DIR/err"

# instructions that copy a row; score and length
word='{"question": "who was the first woman to fly alone across the ocean", "answer": "yes"}'
for i in $(seq 20); do echo "$word" | sed "s/who was/q$i/"; done >"$DIR/copied.jsonl"
cat >"$DIR/leak.jsonl" <<'X'
{"match": "[[ ## cases ## ]]", "content": "[[ ## new_instruction ## ]]\nAnswer yes. If it is the first woman to fly alone across the ocean, say so.\n\n[[ ## completed ## ]]", "then": "[[ ## new_instruction ## ]]\nAnswer.\n\n[[ ## completed ## ]]"}
{"match": "Answer yes.", "content": "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"}
{"match": "question", "content": "[[ ## answer ## ]]\nno\n\n[[ ## completed ## ]]"}
X
start_mock --rule script:"$DIR/leak.jsonl"
job "$one" '"max_metric_calls": 90'
sed -i 's/"train.jsonl"/"copied.jsonl"/' "$DIR/job.json"
check "an instruction with words of a row" compile_at 1 "$DIR/l"
check "is told, with the row, and kept" grep -qE 'copies [89] words of the trainset, row [0-9]+, which it was shown, and is kept: .*first woman to fly alone across the ocean' "$DIR/err"
check "it is counted: $(json gepa.leaks "$DIR/out")" [ "$(json gepa.leaks "$DIR/out")" -gt 0 ]
check "and won" grep -q 'first woman' "$DIR/l/program.json"
check "score and length of each, and who is not beaten in both" [ "$(cut -d, -f16 "$DIR/l/trials.csv" | sed 1d | tr '\n' ' ') $(sed -n 2p "$DIR/l/trials.csv" | cut -d, -f15)" = "1 1  $(($(sed -n 3p "$DIR/l/trials.csv" | cut -d, -f15) - 17))" ]
check "which is said" said "2 candidates that no other beats both in score and in length"
check "any of them can be taken" run 0 "$PROGRAM" show "$DIR/l" --pick=0
check "instead of the winner" sh -c "! grep -q 'first woman' '$DIR/out'"
run 0 "$PROGRAM" show "$DIR/l"
check "which is the other" grep -q 'first woman' "$DIR/out"
check "one that is not there is refused" run 64 "$PROGRAM" show "$DIR/l" --pick=7
check "with those that are" said "has candidates 0 to 1"
check "eval takes it" run 0 "$PROGRAM" eval "$DIR/job.json" --program="$DIR/l" --pick=0
check "and its score is the start's" grep -qF '"valset": {"score": 0.0' "$DIR/out"
check "leak = reject" compile_at 1 "$DIR/m" --optimizer.leak=reject
check "drops it" [ "$(json gepa.leaks_dropped "$DIR/out") $(grep -c 'first woman' "$DIR/m/program.json")" = "$(json gepa.leaks "$DIR/out") 0" ]

# a reflection that is no field of the form: the text between fences is taken, an object with another key is not
rm -rf "$DIR/l" "$DIR/m"
for answer in 'Here it is:\n```\nAnswer yes.\n```' '```json\n{\"better\": \"Answer yes.\"}\n```'; do
	printf '%s\n' "{\"match\": \"[[ ## cases ## ]]\", \"content\": \"$answer\"}" >"$DIR/fences.jsonl"
	sed -n '2,3p' "$DIR/leak.jsonl" >>"$DIR/fences.jsonl"
	start_mock --rule script:"$DIR/fences.jsonl"
	job "$one" '"max_metric_calls": 90'
	case $answer in
	H*) check "an instruction between fences" eval 'compile_at 1 "$DIR/l" && grep -q "\"instructions\": \"Answer yes.\"" "$DIR/l/program.json"' ;;
	*) check "an object in place of one" eval '! compile_at 1 "$DIR/m" && said "5 iterations in a row without a usable reflection" && said "the last: an answer that could not be read"' ;;
	esac
done

job "$one" '"max_metric_calls": 60, "failure_score": 0.5'
check "where a parameter of DSPy's goes is told" eval 'run 78 "$PROGRAM" check "$DIR/job.json" && said "optimizer.failure_score: it holds for the whole job: write it beside optimizer"'
job "$one" '"max_metric_calls": 60, "auto": "light"'
check "two budgets are refused" run 78 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/x"
check "with a sentence" said "leave out one of them"
plan $n
