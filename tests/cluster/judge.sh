# Metrics that ask a model: its scores, what it costs and who pays, the same at any number of ranks, over kills and
# under caps; what cannot be read and an outage are no scores; sums of parts.
LEAKS=0 # what Open MPI leaves at its end is not ours
. tests/lib.sh
ROUNDS=${ROUNDS:-1}
RANKS=${RANKS:-"2 5"}
seq 0 19 | sed 's/.*/{"question": "q&", "answer": "yes"}/' >"$DIR/train.jsonl"
seq 100 129 | sed 's/.*/{"question": "q&", "answer": "yes"}/' >"$DIR/val.jsonl"
cat >"$DIR/judge.jsonl" <<'X'
{"match": "q105", "and": "recall", "content": "[[ ## reasoning ## ]]\nnone\n\n[[ ## recall ## ]]\nnan\n\n[[ ## precision ## ]]\n0.5\n\n[[ ## completed ## ]]"}
{"match": "q105", "content": "[[ ## right ## ]]\nmaybe\n\n[[ ## why ## ]]\nunsure\n\n[[ ## completed ## ]]"}
{"match": "yes\n\n[[ ## predicted_answer ## ]]\nyes", "content": "[[ ## right ## ]]\nTrue\n\n[[ ## why ## ]]\nthe same word\n\n[[ ## completed ## ]]"}
{"match": "predicted_answer", "content": "[[ ## right ## ]]\nFalse\n\n[[ ## why ## ]]\nanother word\n\n[[ ## completed ## ]]"}
{"match": "[[ ## given ## ]]\nyes", "and": "recall", "content": "[[ ## reasoning ## ]]\nalike\n\n[[ ## recall ## ]]\n1.7\n\n[[ ## precision ## ]]\n0.5\n\n[[ ## completed ## ]]"}
{"match": "recall", "content": "[[ ## reasoning ## ]]\nnot alike\n\n[[ ## recall ## ]]\n0.0\n\n[[ ## precision ## ]]\n0.0\n\n[[ ## completed ## ]]"}
X
start_mock --rule golden
TASK_URL=$MOCK_URL
start_mock --rule script:"$DIR/judge.jsonl"
JUDGE_URL=$MOCK_URL
judged() { # judged: requests that the judge's server saw
	MOCK_URL=$JUDGE_URL stat_of requests
}
asked() { MOCK_URL=$TASK_URL stat_of requests; }
reset() {
	MOCK_URL=$JUDGE_URL post /reset >/dev/null
	MOCK_URL=$TASK_URL post /reset >/dev/null
}
own='{"judge": "question, answer, predicted_answer -> right: bool, why", "score": "right", "feedback": "why"}'
job() { # job METRIC [OPTIMIZER [JUDGE-OPTIONS]]
	cat >"$DIR/job.json" <<X
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "inputs": ["question"], "metric": $1,
 "optimizer": ${2:-\"labeled_few_shot\"}, "lm": {"model": "hosted_vllm/any", "api_base": "$TASK_URL"},
 "lms": {"judge": {"model": "hosted_vllm/judge", "api_base": "$JUDGE_URL"${3:-}}}}
X
}
count() { grep -c "$1" "$DIR/e/predictions.jsonl"; }

# scores
job "$own"
check "a judge of one's own" run 0 "$PROGRAM" eval "$DIR/job.json" --out="$DIR/e"
check "an answer that it takes for right scores 1" [ "$(count '"score": 1.0, "parts": \[{"metric": "judge", "score": 1.0, "judgement": {"right": true, "why": "the same word"}}\]')" = 20 ]
check "a wrong one 0" [ "$(count '"score": 0.0, "parts": \[{"metric": "judge", "score": 0.0, "judgement": {"right": false')" = 9 ]
check "a judgement that cannot be read is no score" [ "$(count '"id": "row 6".*"score": null.*"error": "judge", "message": "the judge: ')" = 1 ]
check "the mean is over the others: $(json valset.n "$DIR/out")" [ "$(json valset.n "$DIR/out")" = 29 ]
check "the judge's calls are told: $(json judge.calls "$DIR/out")" [ "$(json judge.calls "$DIR/out")" = "$(judged)" ]
check "and are among all" [ "$(json calls "$DIR/out")" = $(($(judged) + $(asked))) ]
rm -rf "$DIR/e"
job '"semantic_f1"'
check "semantic_f1" run 0 "$PROGRAM" eval "$DIR/job.json" --out="$DIR/e"
check "its formula, with what is above 1 taken for 1" [ "$(count '"score": 0.6666666666666666, "parts": \[{"metric": "semantic_f1", "score": 0.6666666666666666')" = 20 ]
rm -rf "$DIR/e"
job "{\"sum\": [{\"metric\": \"exact_match\", \"weight\": 3}, {\"metric\": \"semantic_f1\", \"weight\": 1}]}"
check "a sum" run 0 "$PROGRAM" eval "$DIR/job.json" --out="$DIR/e"
check "so is what a judge said that is no score" [ "$(count '"score": null, "parts": \[{"metric": "exact_match", "weight": 3.0, "score": 0.0}, {"metric": "semantic_f1", "weight": 1.0, "judgement": {"reasoning": "none", "recall": NaN, "precision": 0.5}}\], "error": "judge", "message": "the judge.s `recall` is not a number"')" = 1 ]
check "each part is recorded" [ "$(count '"score": 0.9166666666666666, "parts": \[{"metric": "exact_match", "weight": 3.0, "score": 1.0}, {"metric": "semantic_f1", "weight": 1.0, "score": 0.6666666666666666, "judgement"')" = 20 ]
rm -rf "$DIR/e"

# who pays: the same at any number of ranks, over kills, under caps
search='{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 3, "max_bootstrapped_demos": 2, "max_labeled_demos": 3}'
job "$own" "$search"
for arguments in --seed=1 --budget.calls=150 --budget.calls=100; do
	reset
	compile_at 1 "$DIR/w" $arguments
	code=$?
	within=yes
	case $arguments in --budget.calls=*) [ $(($(judged) + $(asked))) -le "${arguments#*=}" ] || within=no ;; esac
	check "$arguments: the judge is under the cap" [ "$within" = yes ]
	same_at_ranks $code $arguments
	check "$arguments, at 1 $RANKS ranks: $same" [ "$same" = yes ]
done
reset
compile_at 1 "$DIR/whole" --seed=1
whole=$(judged)
twice=$(json judge_noise.answers "$DIR/out")
check "equal judgements are one call, but for those that are asked for twice: $twice" [ "$(MOCK_URL=$JUDGE_URL stat_of repeats)" = "$twice" ]
check "of the winner's answers" [ "$twice" -gt 8 ]
check "it always said the same, and the report says so" said "asked twice about $twice answers, it said the same each time"
check "on the page too" grep -q "asked twice about $twice answers, said the same each time" "$DIR/whole/report.html"
for k in $(seq "$ROUNDS"); do
	reset
	"$PROGRAM" compile "$DIR/job.json" --out="$DIR/k" --seed=1 --lms.judge.concurrency=4 >/dev/null 2>&1 &
	pid=$!
	for _ in $(seq 400); do
		[ "$(judged)" -ge $((12 * k)) ] && break
		sleep 0.02
	done
	kill -9 $pid
	wait $pid 2>/dev/null
	before=$(judged)
	check "killed after $before of $whole judgements, and resumed" compile_at 1 "$DIR/k" --seed=1
	again=$(($(MOCK_URL=$JUDGE_URL stat_of repeats) - twice))
	check "of what was paid for hardly anything is asked again: $again" [ "$again" -le 4 ]
	check "the same program" cmp -s "$DIR/whole/program.json" "$DIR/k/program.json"
	rm -rf "$DIR/k"
done
rm -rf "$DIR/whole"

# a judge that is asked twice, and may have changed its mind
seq 0 15 | awk '{ print "{\"question\": \"q" $1 "\", \"answer\": \"" ($1 % 2 ? "yes" : "no") "\"}" }' >"$DIR/mixed.jsonl"
cat >"$DIR/mind.jsonl" <<'X'
{"match": "q2\n", "and": "[[ ## predicted_answer ## ]]\nno", "content": "[[ ## right ## ]]\nTrue\n\n[[ ## why ## ]]\nso\n\n[[ ## completed ## ]]", "then": "[[ ## right ## ]]\nFalse\n\n[[ ## why ## ]]\nor not\n\n[[ ## completed ## ]]"}
{"match": "no\n\n[[ ## predicted_answer ## ]]\nno", "content": "[[ ## right ## ]]\nTrue\n\n[[ ## why ## ]]\nso\n\n[[ ## completed ## ]]"}
{"match": "yes\n\n[[ ## predicted_answer ## ]]\nyes", "content": "[[ ## right ## ]]\nTrue\n\n[[ ## why ## ]]\nso\n\n[[ ## completed ## ]]"}
{"match": "predicted_answer", "content": "[[ ## right ## ]]\nFalse\n\n[[ ## why ## ]]\nso\n\n[[ ## completed ## ]]"}
X
start_mock --rule script:"$DIR/mind.jsonl"
STEADY=$JUDGE_URL JUDGE_URL=$MOCK_URL
sed 's/True/False/g' "$DIR/mind.jsonl" >"$DIR/never.jsonl"
job "$own"
sed -i 's/"train.jsonl"/"mixed.jsonl"/; s/"val.jsonl"/"mixed.jsonl"/' "$DIR/job.json"
check "check asks no judge" run 0 "$PROGRAM" check "$DIR/job.json"
check "not once" [ "$(judged)" = 0 ]
check "with --live it does" run 0 "$PROGRAM" check "$DIR/job.json" --live
check "about right and wrong answers, and twice" grep -qF 'right answers score 1, wrong ones 0, in the mean of 8 pairs; asked twice about 16 answers, it scored 1 of them otherwise: one judgement is off by 17.7 points, the mean of 100 by 1.77' "$DIR/out"
check "in 32 judgements: $(judged)" [ "$(judged)" -ge 32 ]
job "{\"sum\": [{\"metric\": \"exact_match\", \"weight\": 1}, {\"judge\": \"question, answer, predicted_answer -> right: bool, why\", \"score\": \"right\", \"weight\": 1}]}"
sed -i 's/"train.jsonl"/"mixed.jsonl"/; s/"val.jsonl"/"mixed.jsonl"/' "$DIR/job.json"
reset
check "of a sum" run 0 "$PROGRAM" check "$DIR/job.json" --live
check "half of it is the judge's" grep -qF 'it scored 1 of them otherwise: one judgement is off by 8.8 points' "$DIR/out"
start_mock --rule script:"$DIR/never.jsonl"
JUDGE_URL=$MOCK_URL
job "$own"
sed -i 's/"train.jsonl"/"mixed.jsonl"/; s/"val.jsonl"/"mixed.jsonl"/' "$DIR/job.json"
check "a judge to whom all labels are wrong is refused" run 65 "$PROGRAM" check "$DIR/job.json" --live
check "in words" said "the judge scores every label 0"
JUDGE_URL=$STEADY

# an outage of the judge
job "$own" '"labeled_few_shot"' ', "outage": 1, "num_retries": 0'
sed -i "s|$JUDGE_URL|http://127.0.0.1:1/v1|" "$DIR/job.json"
check "no judge: no score" run 69 "$PROGRAM" eval "$DIR/job.json"
job '{"judge": "question, nobody -> right: bool"}'
check "an input that is nowhere is refused" run 78 "$PROGRAM" eval "$DIR/job.json"
check "with what to do" said '"prediction.OUTPUT"'
job '"exact_match"'
check "a judge that nobody asks is refused" run 78 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/x"
job "$own" "$search"
check "plan has a line for the judge" run 0 "$PROGRAM" plan "$DIR/job.json"
check "with its calls" grep -q '^judge ' "$DIR/err"
# a judge that picks among the answers of an ensemble
cat >"$DIR/tasks.jsonl" <<'X'
{"match": "Say one.", "content": "[[ ## answer ## ]]\none\n\n[[ ## completed ## ]]"}
{"match": "Say two.", "and": "q7\n", "content": "[[ ## answer ## ]]\nOne\n\n[[ ## completed ## ]]"}
{"match": "Say two.", "content": "[[ ## answer ## ]]\ntwo\n\n[[ ## completed ## ]]"}
X
cat >"$DIR/picks.jsonl" <<'X'
{"match": "\"q3\"", "content": "[[ ## best ## ]]\n9\n\n[[ ## completed ## ]]"}
{"match": "\"1\": \"one\", \"2\": \"two\"", "content": "[[ ## best ## ]]\n2\n\n[[ ## completed ## ]]"}
X
start_mock --rule script:"$DIR/tasks.jsonl"
TASK_URL=$MOCK_URL
start_mock --rule script:"$DIR/picks.jsonl"
JUDGE_URL=$MOCK_URL
seq 0 9 | sed 's/.*/{"question": "q&", "answer": "two"}/' >"$DIR/val.jsonl"
for word in one two; do
	cat >"$DIR/job.json" <<X
{"program": {"predict": {"signature": "question -> answer", "instructions": "Say $word."}}, "trainset": "train.jsonl", "valset": "val.jsonl",
 "inputs": ["question"], "metric": "exact_match", "optimizer": {"name": "labeled_few_shot", "k": 1}, "lm": {"model": "hosted_vllm/any", "api_base": "$TASK_URL"}}
X
	check "a program that says $word" run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/$word"
done
check "best_of: an ensemble whose answers a judge picks" run 0 "$PROGRAM" ensemble "$DIR/one" "$DIR/two" --reduce=best_of
cp "$DIR/out" "$DIR/both.json"
sed -i "s|\"optimizer\"|\"lms\": {\"judge\": {\"model\": \"hosted_vllm/judge\", \"api_base\": \"$JUDGE_URL\"}}, &|" "$DIR/job.json"
reset
for ranks in 1 3; do
	start=""
	[ $ranks = 1 ] || start="mpirun --oversubscribe -n $ranks"
	check "it is asked, at $ranks ranks" run 0 $start "$PROGRAM" eval "$DIR/job.json" --program="$DIR/both.json"
	check "where answers differ, and the vote decides where it says nothing" said "a judge picked on 90.0 %, and of that 1 times said nothing usable"
	check "its picks are the answers: $(json valset.score "$DIR/out")" [ "$(json valset.score "$DIR/out")" = 0.8 ]
done
check "once for each run" [ "$(judged)" = 18 ]
job '"exact_match"' '{"name": "ensemble", "of": "bootstrap_few_shot", "reduce": "best_of"}'
check "a guard by votes is refused" run 78 "$PROGRAM" check "$DIR/job.json"
check "in words" said 'the test whether a committee gains needs votes, and here a judge picks'
check "without it the judge is planned for" run 0 "$PROGRAM" plan "$DIR/job.json" --optimizer.guard=false
check "with its calls too" grep -q '^pick ' "$DIR/err"
plan $n
