# Equal prefixes at a server that caches them, and token counts that cannot be true. How busy the places are while
# cells wait is counted in virtual time by make unit FILTER='prefix/*'.
. tests/lib.sh
plan 21
"$MOCK" --make-data 30 --seed 9 >"$DIR/train.jsonl"
"$MOCK" --make-data 40 9 200 >"$DIR/val.jsonl"
long=$(awk 'BEGIN { for (i = 0; i < 140; i++) printf "Consider the label of the item carefully. " }') # about 1,400 tokens
job() { # job PROGRAM [MORE-OF-LM]
	cat >"$DIR/job.json" <<X
{"program": $1,
 "trainset": "train.jsonl", "valset": "val.jsonl", "inputs": ["question"], "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 6},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16, "temperature": 0$2}}
X
}
one_step="{\"predict\": {\"instructions\": \"$long\", \"signature\": \"question -> answer\"}}"
two_steps="{\"steps\": [{\"name\": \"hint\", \"predict\": {\"instructions\": \"$long\", \"signature\": \"question -> hint\"}},
 {\"name\": \"answer\", \"predict\": {\"instructions\": \"Now $long\", \"signature\": \"question, hint -> answer\"}}]}"
most_is_cached() { awk -v had="$(stat_of cached)" -v could="$(stat_of cachable)" 'BEGIN { exit !(could > 100000 && had >= .98 * could) }'; }
cd "$DIR" || exit 1

# Blocks of 128 tokens, and 1,024 at the least, as OpenAI has it
start_mock --rule planted --seed 9 --latency-random 30:50 --prefix-cache 128:1024
job "$one_step"
check "one process" run 0 "$PROGRAM" compile job.json --out=one
check "nearly all that can be cached is: $(stat_of cached) of $(stat_of cachable) tokens" most_is_cached
check "the last line tells them" [ "$(json tokens.cached out)" = "$(stat_of cached)" ]
calls=$(stat_of requests)
post /reset >/dev/null
check "four ranks" run 0 env ASAN_OPTIONS=detect_leaks=0 mpirun --oversubscribe -n 4 "$PROGRAM" compile job.json --out=four
check "at four ranks too: $(stat_of cached) of $(stat_of cachable) tokens" most_is_cached
check "the same calls" [ "$(stat_of requests)" = "$calls" ]
check "the same program" cmp -s one/program.json four/program.json
post /reset >/dev/null
job "$two_steps"
check "a program of two steps" run 0 "$PROGRAM" compile job.json --out=two
check "both steps' prefixes: $(stat_of cached) of $(stat_of cachable) tokens" most_is_cached
post /reset >/dev/null
job "$one_step" ', "price": {"prompt": 10, "cached": 1, "completion": 30}'
check "with a price of its own" run 0 "$PROGRAM" compile job.json --out=priced
check "that is what is paid: $(json cost out)" awk -v p="$(json tokens.prompt out)" -v c="$(json tokens.completion out)" -v k="$(json tokens.cached out)" -v cost="$(json cost out)" \
	'BEGIN { is = ((p - k) * 10 + k + c * 30) / 1e6; exit !(k > 0 && cost > .999999 * is && cost < 1.000001 * is) }'
run 0 "$PROGRAM" plan job.json
cp out cached.plan
run 0 "$PROGRAM" plan job.json '--lm.price={"prompt": 10, "completion": 30}'
check "plan expects it: $(json cost.expected cached.plan) and not $(json cost.expected out)" awk -v cached="$(json cost.expected cached.plan)" -v plain="$(json cost.expected out)" 'BEGIN { exit !(cached < .5 * plain) }'
check "and reckons with none at the most" [ "$(json cost.high cached.plan)" = "$(json cost.high out)" ]
stop_mock

# What goes out
heads() { # heads FILE: the different beginnings of its bodies, up to the last message
	sed 's/.*"body": //; s/{"role":"user"[^{}]*}\].*//' "$1" | sort -u | wc -l
}
start_mock --rule planted --seed 9 --record "$DIR/record"
job "$one_step"
check "a program that shows demonstrations" run 0 "$PROGRAM" eval job.json --program=one/program.json --out=evaluated
check "its $(wc -l <record) bodies are equal up to the last message" [ "$(wc -l <record) $(heads record)" = "40 1" ]
check "no server but OpenAI's hears of a key of the prefix" sh -c "! grep -q prompt_cache_key '$DIR/record'"
stop_mock

# Counts that cannot be true: they are left out, and said once a server; a cap counts bytes and max_tokens
start_mock --rule planted --seed 9 --usage '{"prompt_tokens": 900000000000000, "completion_tokens": 3}'
job '{"predict": "question -> answer"}' ', "max_tokens": 100, "price": {"prompt": 10, "completion": 30}'
check "9e14 tokens of a prompt" run 0 "$PROGRAM" eval job.json --budget.tokens=10M
check "are not counted" [ "$(json tokens.prompt out) $(json tokens.completion out) $(json answers out)" = "0 0 40" ]
check "which is said once" [ "$(grep -c 'such counts are left out' err)" = 1 ]
used=$((10000000 - $(json left.tokens out)))
check "a cap counts at least what was sent, and max_tokens: $used" [ "$used" -ge $((40 * 300)) ]
check "and not much more" [ "$used" -le $((40 * 3000)) ]
stop_mock
