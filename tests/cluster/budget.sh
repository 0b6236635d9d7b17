# Caps: never passed (counted at the server), used up, the same program at any rank count, also over a crash;
# what cannot be capped is refused before a call.
LEAKS=0
. tests/lib.sh
plan 38
start_mock --rule planted --seed 6 --latency 2
"$MOCK" --make-data 60 6 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 40 6 1000 >"$DIR/val.jsonl"
cd "$DIR" || exit 70
cat >job.json <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 6},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16, "max_tokens": 50}}
EOF
requests() { stat_of requests; }
spent() { # spent COMMAND...: runs it, CALLS are what the server saw
	before=$(requests)
	run 0 "$@"
	rc=$?
	CALLS=$(($(requests) - before))
	return $rc
}
sum() { sha256sum <"$1/program.json"; }

check "without a cap" spent "$PROGRAM" compile job.json --out=whole
whole=$CALLS
for cap in 150 300; do
	check "$cap calls" spent "$PROGRAM" compile job.json --out=c$cap --budget.calls=$cap
	check "not passed, and used: $CALLS of $cap" [ "$CALLS" -le $cap -a "$CALLS" -ge $((cap * 97 / 100)) ]
	check "it says so" [ "$(json reason out)" = budget -a "$(json calls out)" = "$CALLS" ]
	check "what is left is less than a run may send: $(json left.calls out)" [ "$(json left.calls out)" -le 1 -a "$(json left.calls out)" = $((cap - CALLS)) ]
	check "the same program on 5 ranks" run 0 mpirun --oversubscribe -n 5 "$PROGRAM" compile job.json --out=r$cap --budget.calls=$cap
	check "byte for byte" [ "$(sum c$cap)" = "$(sum r$cap)" ]
done
check "a cap that is not reached changes nothing" spent "$PROGRAM" compile job.json --out=wide --budget.calls=100k
check "the same program" [ "$(sum wide)" = "$(sum whole)" ]
tokens=$(json tokens.prompt out)
check "tokens" run 0 "$PROGRAM" compile job.json --out=tokens --budget.tokens=$((tokens / 2))
used=$(($(json tokens.prompt out) + $(json tokens.completion out)))
check "not passed: $used of $((tokens / 2))" [ $used -le $((tokens / 2)) -a $used -ge $((tokens * 45 / 100)) ]
check "money, with a price" run 0 "$PROGRAM" compile job.json --out=cost '--budget.cost=$1' '--lm.price={"prompt": 10, "completion": 30}'
check "not passed: $(json cost out)" awk -v c="$(json cost out)" 'BEGIN { exit !(c <= 1 && c > .9) }'

# a stopped run, a raised cap, a crash: all attempts together stay under it
before=$(requests)
run 0 "$PROGRAM" compile job.json --out=more --budget.calls=100
check "a raised cap goes on from there" run 0 "$PROGRAM" compile job.json --out=more --budget.calls=250
CALLS=$(($(requests) - before))
check "over both: $CALLS of 250" [ $CALLS -le 250 -a $CALLS -ge 240 ]
before=$(requests)
for i in 1 2 3; do
	"$PROGRAM" compile job.json --out=crash --budget.calls=300 >/dev/null 2>&1 &
	pid=$!
	while [ $(($(requests) - before)) -lt $((i * 60)) ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
	kill -9 $pid 2>/dev/null
	wait $pid 2>/dev/null
done
run 0 "$PROGRAM" compile job.json --out=crash --budget.calls=300
CALLS=$(($(requests) - before))
# each may have billed what was out: 16 and those handed out ahead, with their fallbacks
check "three kill -9 under the cap: $CALLS of 300" [ $CALLS -le 300 -a $CALLS -ge 160 ]

# MIPROv2 under a cap: its search has the runs that fit
sed 's/"optimizer": {[^}]*}/"optimizer": {"name": "mipro_v2", "max_labeled_demos": 2, "max_bootstrapped_demos": 2}/' job.json >mipro.json
check "MIPROv2 under a cap" spent "$PROGRAM" compile mipro.json --out=m1 --budget.calls=400
check "not passed: $CALLS of 400" [ "$CALLS" -le 400 -a "$CALLS" -ge 280 ]
check "left: $(json left.calls out)" [ "$(json left.calls out)" -le 1 ]
check "on 5 ranks" run 0 mpirun --oversubscribe -n 5 "$PROGRAM" compile mipro.json --out=m5 --budget.calls=400
check "the same program" [ "$(sum m1)" = "$(sum m5)" ]
for cap in 90 110; do # shares that hold no proposal: the search goes on without
	check "MIPROv2 under a cap of $cap" spent "$PROGRAM" compile mipro.json --out=m$cap --budget.calls=$cap
	check "used up: $CALLS" [ "$CALLS" -le $cap -a "$CALLS" -ge $((cap - 1)) ]
done
check "a cap that lets nothing be searched" run 0 "$PROGRAM" compile mipro.json --out=m0 --budget.calls=30

check "money without a price is refused" run 78 "$PROGRAM" compile job.json --out=no --lm=openai/unheard-of '--budget.cost=$5'
# hosted_vllm is what costs nothing on one's own machines; somebody else's server may be behind it
unpriced() { # unpriced ADDRESS ARGUMENTS...
	to=$1
	shift
	run 78 "$PROGRAM" compile job.json --out=no '--budget.cost=$5' "$@" && grep -q "hosted_vllm/any has no price here.*if $to is your own server" err
}
check "so is money at a host that may cost some" unpriced https://api.together.xyz/v1 --lm.api_base=https://api.together.xyz/v1
check "and when one of several is such a host" unpriced https://api.together.xyz/v1 "--lm.api_base=[\"$MOCK_URL\", \"https://api.together.xyz/v1\"]"
check "and when it is the proposer's alone" unpriced https://ollama.com/v1 --optimizer=mipro_v2 \
	'--lms.prompt={"model": "hosted_vllm/any", "api_base": "https://ollama.com/v1", "max_tokens": 50}'
check "zeros are a price" run 0 "$PROGRAM" plan job.json '--budget.cost=$5' --lm.api_base=https://api.together.xyz/v1 '--lm.price={"prompt": 0, "completion": 0}'
stop_mock
start_mock --fault 400=1
run 69 "$PROGRAM" compile job.json --out=none --lm.api_base="$MOCK_URL" --budget.calls=10
check "calls in vain, and no budget for more" said "the rest of the budget does not cover another run"
