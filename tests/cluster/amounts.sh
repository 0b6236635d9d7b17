# Amounts, counted at the server by the whole program: calls in flight at 1, 2 and 5 ranks, attempts of a call, and caps
# in calls, tokens and money with two predictors. tests/unit/test_calls.c, test_crew.c and test_amounts.c have
# the rest, by hand and to the call.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan 25
"$MOCK" --make-data 50 6 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 60 6 1000 >"$DIR/val.jsonl"
start_mock --rule planted --seed 6 --latency 15
cat >"$DIR/job.json" <<END
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"},
                       {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 3},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 6, "max_tokens": 60, "price": {"prompt": 10, "completion": 30}}}
END
sed 's/{"steps": .*/{"predict": "question -> answer"},/; /"name": "say"/d' "$DIR/job.json" >"$DIR/one.json"
on() { # on RANKS COMMAND...
	if [ "$1" = 1 ]; then shift && run 0 "$@"; else start=$1 && shift && run 0 mpirun --oversubscribe -n "$start" "$@"; fi
}

# In flight: never more than asked for, however many ranks share it
for concurrency in 1 6 7; do
	for ranks in 1 2 5; do
		post /reset >/dev/null
		on $ranks "$PROGRAM" eval "$DIR/one.json" --split=valset --lm.concurrency=$concurrency
		check "$concurrency asked for, $ranks ranks: $(stat_of peak) at once" [ "$rc $(stat_of requests)" = "0 60" -a "$(stat_of peak)" -le $concurrency ]
	done
done

# Caps, as the server bills: 10 a million of prompt tokens, 30 of the others
post /reset >/dev/null
run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole"
prompt=$(stat_of prompt) completion=$(stat_of completion) calls=$(stat_of requests)
check "the whole run: $calls calls, $prompt and $completion tokens, as it says itself" [ "$(json calls "$DIR/out") $(json tokens.prompt "$DIR/out") $(json tokens.completion "$DIR/out")" = "$calls $prompt $completion" ]
capped() { # capped RANKS OPTION AMOUNT WHAT: WHAT, an expression of awk over p, c and n, is at most AMOUNT and most of it
	post /reset >/dev/null
	on "$1" "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o" --fresh --budget."$2=$3"
	billed=$(awk -v p="$(stat_of prompt)" -v c="$(stat_of completion)" -v n="$(stat_of requests)" "BEGIN { print $4 }")
	check "$2, $1 ranks: billed $billed of $3" [ "$rc $(json reason "$DIR/out")" = "0 budget" ]
	check "never passed, and used" awk -v b="$billed" -v cap="$3" 'BEGIN { exit !(b > 0 && b <= cap && b >= .7 * cap) }'
	rm -rf "$DIR/o" "$DIR"/o.*
}
for ranks in 1 3; do
	capped $ranks calls $((calls / 3)) n
	capped $ranks tokens $(((prompt + completion) / 3)) 'p + c'
	capped $ranks cost "$(awk -v p="$prompt" -v c="$completion" 'BEGIN { printf "%.4f", (10 * p + 30 * c) / 3e6 }')" '(10 * p + 30 * c) / 1e6'
done
stop_mock

# Attempts: num_retries more than the first, and the first piece of work is alone
for retries in 0 1 3; do
	start_mock --rule planted --seed 6 --fault 502=1
	run 69 "$PROGRAM" eval "$DIR/one.json" --split=valset --lm.num_retries=$retries --lm.api_base="$MOCK_URL"
	check "num_retries $retries: $(stat_of requests) requests" [ "$rc $(stat_of requests)" = "69 $((retries + 1))" ]
	stop_mock
done
