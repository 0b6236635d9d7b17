# Anthropic, Azure, Gemini and OpenAI's models that reason, against a server that refuses what the real ones refuse;
# limits that no job names; waits; flex. BIG=1: limits for a minute at 1, 4 and 16 ranks.
LEAKS=0
. tests/lib.sh
[ "${BIG:-0}" = 1 ] && plan 61 || plan 43
cd "$DIR" || exit 70
"$MOCK" --make-data 40 6 0 >train.jsonl
"$MOCK" --make-data 200 6 1000 >many.jsonl
export KEY=a-key-of-a-test-1 GATE=a-token-of-a-gateway-1
job() { # job LM [DATA]: an evaluation of the start program
	cat >job.json <<EOF
{"program": {"chain_of_thought": "question -> answer"}, "testset": "${2:-train.jsonl}", "metric": "answer_exact_match", "lm": $1}
EOF
}
evaluates() { run "$1" "$PROGRAM" eval job.json; }
statuses() { stat_of statuses; }
all_good() { # all rows, and perhaps the question whether response_format is taken
	statuses | grep -qE '^\{"200":4[01]\}$'
}

# ---- Anthropic ----
start_mock --rule planted --seed 6 --strict anthropic --key $KEY
claude() { echo "{\"model\": \"anthropic/claude-sonnet-4-6\", \"api_base\": \"$MOCK_URL\", \"api_key_env\": \"KEY\"$1}"; }
job "$(claude "")"
check "anthropic: an evaluation" evaluates 0
check "nothing was refused: $(statuses)" all_good
check "tokens read from and put into the cache are told" [ "$(json tokens.cached out)" -gt 0 -a "$(json tokens.cache_written out)" -gt 0 ]
cost() { awk -v p="$(json tokens.prompt out)" -v c="$(json tokens.cached out)" -v w="$(json tokens.cache_written out)" -v o="$(json tokens.completion out)" \
	-v cost="$(json cost out)" 'BEGIN { e = ((p - c - w) * 3 + c * .3 + w * 3.75 + o * 15) / 1e6; exit !(cost > .999 * e && cost < 1.001 * e) }'; }
check "and each has its own price: $(json cost out)" cost
job "$(claude ', "max_tokens": 300, "temperature": 0, "stop": "###", "reasoning_effort": "low"')"
check "sampling by Anthropic's names" evaluates 0
job "$(claude ', "seed": 3')"
check "a key that it does not know: exit 78" evaluates 78
check "which names it" said "lm.seed: model claude-sonnet-4-6"
job "$(claude ', "seed": 3, "temperature": 1.5, "drop_params": true')"
check "with drop_params it is dropped, and the next one" evaluates 0
check "and said" said "lm.seed is dropped"
check "both" said "lm.temperature is dropped"
post /reset >/dev/null
cat >job.json <<EOF
{"program": {"predict": "question -> answer"}, "adapter": "json", "testset": "train.jsonl", "metric": "answer_exact_match", "lm": $(claude "")}
EOF
check "JSON mode" evaluates 0
check "with output_config: $(statuses)" all_good
job "{\"model\": \"anthropic/claude-sonnet-4-6\", \"api_base\": \"$MOCK_URL\"}"
check "without its key: exit 69" evaluates 69
stop_mock
start_mock --rule planted --seed 6 --strict anthropic --first-429 99 \
	--words '{"type":"error","error":{"type":"rate_limit_error","message":"spent","details":{"error_code":"enforced_spend_limit_reached"}}}'
job "$(claude "")"
check "a spend limit: exit 69" evaluates 69
check "is asked once: $(statuses)" [ "$(statuses)" = '{"429":1}' ]
stop_mock

# ---- Azure, Gemini, gateways ----
start_mock --rule planted --seed 6 --strict azure --key $KEY
job "{\"model\": \"azure/my-deployment\", \"api_base\": \"${MOCK_URL%/v1}\", \"api_version\": \"2024-10-21\", \"api_key_env\": \"KEY\"}"
check "azure: deployment, api-version and api-key" evaluates 0
check "nothing was refused: $(statuses)" all_good
stop_mock
start_mock --rule planted --seed 6 --strict gemini --key $KEY
job "{\"model\": \"gemini/gemini-2.5-flash\", \"api_base\": \"${MOCK_URL%/v1}/v1beta/openai\", \"api_key_env\": \"KEY\", \"temperature\": 0, \"max_tokens\": 90}"
check "gemini: OpenAI's form" evaluates 0
check "nothing was refused: $(statuses)" all_good
job "{\"model\": \"gemini/gemini-2.5-flash\", \"api_base\": \"${MOCK_URL%/v1}/v1beta/openai\", \"api_key_env\": \"KEY\", \"seed\": 3}"
check "a field that it does not know: exit 78" evaluates 78
check "which names it" said "lm.seed: model gemini-2.5-flash"
stop_mock
start_mock --rule planted --seed 6 --record wire.jsonl
job "{\"model\": \"openai/any\", \"api_base\": \"$MOCK_URL\", \"headers_env\": {\"Authorization\": \"GATE\"}, \"headers\": {\"X-Team\": \"a-team-of-ours-1\"}, \"query\": {\"tenant\": \"a-tenant-of-ours-1\"}}"
check "a gateway's headers and query" run 0 "$PROGRAM" eval job.json --verbose
check "go out" grep -qF "$GATE" wire.jsonl
check "and are said nowhere" sh -c '! grep -qE "a-token-of-a-gateway-1|a-team-of-ours-1|a-tenant-of-ours-1" out err'
stop_mock

# ---- models that reason ----
start_mock --rule planted --seed 6 --strict reasons --usage '{"prompt_tokens":100,"completion_tokens":50,"completion_tokens_details":{"reasoning_tokens":40}}'
gpt() { echo "{\"model\": \"openai/gpt-5-mini\", \"api_base\": \"$MOCK_URL\"$1}"; }
job "$(gpt ', "max_tokens": 400, "reasoning_effort": "low"')"
check "max_tokens goes out as max_completion_tokens" evaluates 0
check "reasoning is told apart: $(json tokens.reasoning out)" [ $(($(json tokens.reasoning out) * 5)) = $(($(json tokens.completion out) * 4)) ]
job "$(gpt ', "temperature": 0')"
before=$(stat_of requests)
check "temperature 0: exit 78" evaluates 78
check "which names the key, after one call: $(($(stat_of requests) - before))" [ $(($(stat_of requests) - before)) = 1 ]
check "by the job's name" said "lm.temperature: model gpt-5-mini"
cat >compile.json <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "metric": "answer_exact_match", "optimizer": "labeled_few_shot",
 "lm": $(gpt ', "temperature": 0, "drop_params": true')}
EOF
check "with drop_params a compile" run 0 "$PROGRAM" compile compile.json --out=o
check "says what it drops" said "lm.temperature is dropped"
check "and journals it" grep -aq "task: temperature" o/journal
stop_mock

# ---- flex ----
start_mock --rule planted --seed 6 --tier flex --first-429 3 --words '{"error":{"message":"Resource Unavailable","code":"resource_unavailable"}}'
job "$(gpt ', "service_tier": "flex", "concurrency": 2')"
check "flex: no room is waited for" evaluates 0
full() { awk -v p="$(json tokens.prompt out)" -v o="$(json tokens.completion out)" -v cost="$(json cost out)" -v f="$1" \
	'BEGIN { e = f * (p * .25 + o * 2) / 1e6; exit !(cost > .999 * e && cost < 1.001 * e) }'; }
check "and costs half: $(json cost out)" full .5
stop_mock
start_mock --rule planted --seed 6 --tier default
job "$(gpt ', "service_tier": "flex"')"
check "served as another tier" evaluates 0
check "at the full price: $(json cost out)" full 1
stop_mock

# ---- waits ----
long_wait() { # long_wait HEADER START...
	start_mock --rule planted --seed 6 --first-429 999999 --with "$1"
	name=${1%%:*}
	shift
	job "{\"model\": \"hosted_vllm/any\", \"api_base\": \"$MOCK_URL\"}"
	check "$name beyond the outage: exit 75" run 75 "$@" "$PROGRAM" eval job.json
	check "and names the time" said "takes no request until 20"
	stop_mock
}
long_wait "Retry-After: 3600" mpirun --oversubscribe -n 3
long_wait "x-ratelimit-reset-requests: 6m0s" env
long_wait "anthropic-ratelimit-requests-reset: $(date -u -d '+2 hours' +%Y-%m-%dT%H:%M:%SZ)" env

# ---- limits that no job names ----
# More is shown in virtual minutes: tests/unit/test_limits.c.
limits() { # limits RANKS MOCK-OPTION...
	ranks=$1
	shift
	start_mock --rule planted --seed 6 "$@"
	job "{\"model\": \"hosted_vllm/any\", \"api_base\": \"$MOCK_URL\", \"max_tokens\": 20}" "${ROWS:-many.jsonl}"
	start=""
	[ "$ranks" = 1 ] || start="mpirun --oversubscribe -n $ranks"
	# shellcheck disable=SC2086
	run 0 $start "$PROGRAM" eval job.json
	get /stats >stats
	REFUSED=$(json statuses.429 stats 2>/dev/null) CALLS=$(json requests stats) SPAN=$(json span stats)
	REFUSED=${REFUSED:-0}
	stop_mock
}
few_refused() { [ "$CALLS" -ge "$1" ] && [ $((100 * REFUSED)) -le $(($2 * CALLS)) ]; }
limits 4 --limits 3000:9000000:1 --tell openai
check "heads of limits at 4 ranks: $REFUSED of $CALLS refused" few_refused 200 2
[ "${BIG:-0}" = 1 ] || exit 0
"$MOCK" --make-data 900 6 1000 >many.jsonl
whole=$DIR
for tell in openai anthropic none; do # beside each other, each with a server and files of its own
	for ranks in 1 4 16; do
		(
			DIR=$whole/$tell.$ranks
			mkdir "$DIR" && cp many.jsonl "$DIR" && cd "$DIR" || exit
			limits $ranks --limits 600:90000:1 --tell $tell
			echo "$REFUSED $CALLS $SPAN $(($(json tokens.prompt out) + $(json tokens.completion out)))" >minute
		) &
	done
done
wait
for tell in openai anthropic none; do
	[ $tell = none ] && most=20 || most=2
	for ranks in 1 4 16; do
		read -r REFUSED CALLS SPAN TOKENS <$tell.$ranks/minute
		used=$(awk -v n="$TOKENS" -v s="$SPAN" 'BEGIN { printf "%d", 100 * n / (1500 * s) }') # of 90,000 tokens a minute, which 410 requests take
		check "600 requests a minute, heads $tell, $ranks ranks: $REFUSED of $CALLS refused" few_refused 900 $most
		check "in $SPAN s: $used % of the allowance" [ "$used" -ge 90 ]
	done
done
