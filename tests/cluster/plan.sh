# What plan says before a call, beside what finished runs came to: evaluation calls exact, all calls within a
# tenth of what is expected and always between low and high, tokens within a tenth after --measure 20.
. tests/lib.sh
start_mock --rule planted --seed 3
"$MOCK" --make-data 200 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 60 3 1000 >"$DIR/val.jsonl"
"$MOCK" --make-data 100 3 5000 >"$DIR/test.jsonl"
cd "$DIR" || exit 70
one='{"predict": "question -> answer"}'
two='{"steps": [{"name": "think", "chain_of_thought": "question -> answer"}, {"name": "say", "predict": "question, reasoning -> answer"}]}'
near() { awk -v a="$1" -v b="$2" -v by="$3" 'BEGIN { exit !(a >= (1 - by) * b && a <= (1 + by) * b) }'; }
in_range() { # NAME KEY: what is planned for it, and what came of it
	low=$(json $2.low planned) expected=$(json $2.expected planned) high=$(json $2.high planned) came=$(json $2 out)
	said="$said, $came $1, $expected expected"
	[ "$came" -ge "$low" ] && [ "$came" -le "$high" ] && near "$came" "$expected" 0.1
}
evaluations() { # exactly NUMBER of them were planned, in the rows PHASE
	[ "$(awk -v p="$1" '$1 ~ p { n += $3 } END { print n }' err.plan)" = "$2" ]
}
compare() { # NAME PROGRAM OPTIMIZER [KEYS]; calls and tokens a tenth of what is expected
	echo "{\"program\": $2, \"trainset\": \"train.jsonl\", \"valset\": \"val.jsonl\", \"testset\": \"test.jsonl\", \"metric\": \"answer_exact_match\", \"inputs\": [\"question\"],
 \"optimizer\": $3, \"lm\": {\"model\": \"hosted_vllm/any\", \"api_base\": \"$MOCK_URL\", \"concurrency\": 32}$4}" >job.json
	rm -rf o
	"$PROGRAM" plan job.json --measure 20 >planned 2>err.plan || { not_ok "$1: plan" err.plan; return; }
	"$PROGRAM" compile job.json --out=o >out 2>err || { not_ok "$1: compile" err; return; }
	said="" bad=""
	in_range calls calls || bad=calls
	in_range "prompt tokens" tokens.prompt || bad="$bad prompts"
	in_range "completion tokens" tokens.completion || bad="$bad completions"
	if [ -z "$bad" ]; then ok "$1$said"; else not_ok "$1: $bad$said"; fi
}
plan 20
compare "labeled_few_shot" "$one" '"labeled_few_shot"'
compare "labeled_few_shot, two predictors" "$two" '{"name": "labeled_few_shot", "k": 4}'
check "all of them evaluations, exactly" evaluations score "$(json calls out)"
compare "bootstrap_few_shot" "$one" '"bootstrap_few_shot"'
compare "bootstrap_few_shot, JSON adapter" "$one" '{"name": "bootstrap_few_shot", "max_labeled_demos": 4}' ', "adapter": "json"'
compare "random search" "$one" '{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 8}'
check "of which the evaluations exactly" evaluations search "$(awk -F, 'NR > 1 { n += $6 } END { print n }' o/trials.csv)"
compare "random search, two predictors" "$two" '{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 5, "max_labeled_demos": 8}'
check "of which the evaluations exactly" evaluations search "$(awk -F, 'NR > 1 { n += $6 } END { print 2 * n }' o/trials.csv)"
compare "random search, a race" "$one" '{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 8, "race": true}'
compare "mipro_v2, DSPy's schedule" "$one" '{"name": "mipro_v2", "search": "mipro"}'
compare "mipro_v2" "$one" '{"name": "mipro_v2"}'
compare "mipro_v2, two predictors" "$two" '{"name": "mipro_v2", "max_labeled_demos": 3}'
compare "mipro_v2, no demonstrations" "$one" '{"name": "mipro_v2", "max_labeled_demos": 0, "max_bootstrapped_demos": 0}'
before=$(stat_of requests)
check "plan alone calls nothing" run 0 "$PROGRAM" plan job.json
check "and leaves nothing" [ "$(stat_of requests)" = "$before" -a ! -e job ]
check "a budget that holds no round is said" sh -c "'$PROGRAM' plan job.json --budget.calls=20 2>&1 | grep -q 'is not enough for one round'"
check "and what money it takes, with a price" sh -c "'$PROGRAM' plan job.json '--lm.price={\"prompt\": 3, \"completion\": 15}' | grep -q '\"cost\": {\"low\": 0.[0-9]*, \"expected\": 0.[1-9]'"
check "one in tokens too" sh -c "'$PROGRAM' plan job.json --budget.tokens=5k --lm.max_tokens=100 2>&1 | grep -q 'budget.tokens: 5000 is not enough for one round'"
"$PROGRAM" compile job.json --lm.model=openai/any --confirm-above='$1' --fresh --out=o2 >out 2>err
check "a limit in money is of no use without a price, and compile says so" grep -q 'has no price, so it cannot be compared' err
