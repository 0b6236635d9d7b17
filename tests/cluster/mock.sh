# The mock server itself: the other tests lean on its answers, its counts, its faults and its clock.
. tests/lib.sh
plan 48
chat() { post /v1/chat/completions "$DIR/$1" >"$DIR/out" 2>"$DIR/err"; } # chat FILE
content() { json choices.0.message.content "$DIR/out"; }
is() { # is NAME GOT WANTED
	if [ "$2" = "$3" ]; then ok "$1: $3"; else not_ok "$1: $2, not $3" "$DIR/out"; fi
}
between() { # between NAME GOT LOW HIGH (integers)
	if [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; then ok "$1 ($2)"; else not_ok "$1: $2 is not in $3 ... $4" "$DIR/out"; fi
}
asking() { # asking QUESTION [MORE-KEYS]
	cat <<EOF
{"model": "a", $2 "messages": [{"role": "system", "content": "your objective is: do it."},
 {"role": "user", "content": "[[ ## question ## ]]\n$1\n\nRespond with the corresponding output fields, starting with the field \`[[ ## reasoning ## ]]\`, then \`[[ ## answer ## ]]\`, and then ending with the marker for \`[[ ## completed ## ]]\`."}]}
EOF
}
asking q7 >"$DIR/q7"
asking q9 >"$DIR/q9"
asking q7 '"max_tokens": 3,' >"$DIR/short"
asking q7 '"temperature": 1,' | sed 's/"a"/"none"/' >"$DIR/other"

# Answers, counts, records
start_mock --rule golden --model a,b --root here --max-model-len 500 --cached 50 --record "$DIR/record"
check "models" sh -c "$MOCK --fetch $(host_of "$MOCK_URL") /v1/models | grep -q '\"id\":\"b\".*\"root\":\"here\",\"max_model_len\":500'"
chat q7
is "an answer by the rule" "$(content | xargs echo)" "[[ ## reasoning ## ]] r7 [[ ## answer ## ]] yes [[ ## completed ## ]]"
is "half of its prompt is cached" "$(json usage.prompt_tokens_details.cached_tokens "$DIR/out")" $(($(json usage.prompt_tokens "$DIR/out") / 2))
chat short
is "max_tokens is obeyed" "$(json choices.0.finish_reason "$DIR/out") $(json usage.completion_tokens "$DIR/out")" "length 3"
chat other
is "an unknown model, as vLLM says it" "$(json error.message "$DIR/out")" 'The model `none` does not exist.'
chat q9
chat q9
is "requests" "$(stat_of requests)" 5
is "distinct ones" "$(stat_of distinct)" 4
is "repeats" "$(stat_of repeats)" 1
is "good answers" "$(stat_of good)" 4
is "by status" "$(stat_of statuses)" '{"200":4,"404":1}'
is "the record has a line for each" "$(wc -l <"$DIR/record")" 5
is "with what was asked, by hash" "$(json sha256 "$DIR/record")" "$(sha256sum <"$DIR/q9" | cut -d' ' -f1)"
is "and as it was" "$(json body.model "$DIR/record")" a
post /reset >/dev/null
is "reset" "$(stat_of requests) $(stat_of distinct)" "0 0"
awk 'BEGIN { for (i = 0; i < 300; i++) printf "words and " }' >"$DIR/words"
asking "$(cat "$DIR/words")" >"$DIR/long"
chat long
is "too long a prompt" "$(json error.message "$DIR/out" | cut -d. -f1)" "This model's maximum context length is 500 tokens"
stop_mock

start_mock --key right --rpm 60
chat q7
is "without the key" "$(json error.code "$DIR/out")" invalid_api_key
stop_mock
start_mock --rpm 60
chat q7
chat q9
is "beyond the rate" "$(json error.code "$DIR/out")" rate_limit_exceeded
stop_mock
start_mock --burst-429 4:2
for file in q7 q9 q7 q9 q7; do chat $file; done
is "bursts of 429" "$(stat_of statuses)" '{"200":2,"429":3}'
stop_mock

# The clock: what is in flight is counted from the request to the answer. The answers take so long that eight
# processes have started by then, on any machine.
start_mock --latency 3000
pids=""
for i in 1 2 3 4 5 6 7 8; do
	post /v1/chat/completions "$DIR/q$((7 + i % 2 * 2))" >/dev/null &
	pids="$pids $!"
done
for pid in $pids; do wait "$pid"; done
is "in flight at the peak" "$(stat_of peak)" 8
check "busy at least 8 times as long: $(stat_of busy) s" awk -v busy="$(stat_of busy)" 'BEGIN { exit !(busy >= 24) }'
check "the seconds add up to it: $(stat_of per_second)" sh -c "echo '$(stat_of per_second)' | tr -d '[]' | awk -F, -v busy=$(stat_of busy) '{ for (i = 1; i <= NF; i++) s += \$i } END { exit !(s - busy < .01 && busy - s < .01) }'"
is "nothing is left in flight" "$(stat_of in_flight)" 0
stop_mock

# Faults: each kind does what it says, on the wire
one() { # one KIND: asks once
	start_mock --rule golden --fault "$1=1" --slow 300 --retry-after 7
	began=$(now_ms)
	SECONDS_LIMIT=$([ "$1" = stall_body ] && echo 2 || echo 60) run 0 "$MOCK" --post "$(host_of "$MOCK_URL")" /v1/chat/completions "$DIR/q7"
	TOOK=$(($(now_ms) - began))
	[ "$1" = huge_body ] || counted=$(stat_of faulted)
	stop_mock
}
bytes() { wc -c <"$DIR/out" | tr -d ' '; }
one truncated_json
check "truncated_json is no JSON" sh -c "! $MOCK --json-get choices <$DIR/out"
one wrong_json
check "wrong_json is HTML" grep -q '<html>' "$DIR/out"
one empty_choices
is "empty_choices" "$(json choices "$DIR/out")" "[]"
one null_content
is "null_content" "$(json choices.0.message.content "$DIR/out")" null
one empty_content
is "empty_content" "$(json choices.0.message.content "$DIR/out")" ""
one length
is "length" "$(json choices.0.finish_reason "$DIR/out")" length
one garbage
is "garbage" "$(content)" "I would rather not say."
one invalid_utf8
check "invalid_utf8" sh -c "! iconv -f UTF-8 -t UTF-8 <$DIR/out >/dev/null 2>&1"
one reset_before_headers
is "reset_before_headers sends nothing" "$(bytes)" 0
one reset_after_headers
between "reset_after_headers sends some of it, in bytes" "$(bytes)" 1 150
one stall_body
check "stall_body sends some of it and no end ($TOOK ms)" [ "$TOOK" -ge 1900 ]
one slow_first_byte
check "slow_first_byte ($TOOK ms)" [ "$TOOK" -ge 300 ]
one huge_body
is "huge_body, in bytes" "$(bytes)" 104857600
one duplicate_answer
is "duplicate_answer: two status lines" "$(grep -c 'HTTP/1.1 200' "$DIR/out") behind the first" "1 behind the first"
is "a fault is counted" "$counted" 1

# Calls whose answers a journal holds: asked again, beyond what the undisturbed run asks, they count
start_mock --rule golden --mark yes
for q in q7 q9 q7; do chat $q; done # two cells ask q7
post /whole >/dev/null
chat q7
cached=$(json usage.prompt_tokens_details.cached_tokens "$DIR/out")
echo $((($(json usage.prompt_tokens "$DIR/out") * 256 + $(json usage.completion_tokens "$DIR/out") - 1) * 4096 + ${cached:-0})) >"$DIR/marks"
post /known "$DIR/marks" >"$DIR/told"
is "a mark tells which call was answered" "$(json asked "$DIR/told") $(json asked_more "$DIR/told")" "1 0"
chat q7
chat q9
is "the other cell's call, and one that is not known, are none again" "$(stat_of known_again)" 0
chat q7
is "a known call that is made again counts" "$(stat_of known_again)" 1
stop_mock

# The same seed spoils the same attempts, another attempt may go well
tries() { # tries SEED: the statuses of 12 attempts
	start_mock --rule golden --seed "$1" --fault 503=.5
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do chat q7 && printf . || printf x; done
	stop_mock
}
first=$(tries 3)
is "faults are a function of seed, request and attempt" "$(tries 3)" "$first"
check "half of them ($first)" sh -c "case $first in *x*.* | *.*x*) ;; *) exit 1 ;; esac"
check "another seed is another course" [ "$(tries 4)" != "$first" ]
check "an unknown kind is refused" run 64 "$MOCK" --fault 503=.1,frogs=.1

# It dies when told to, and opens late when told to
start_mock --fail-after 1
chat q7
chat q9
wait "$MOCK_PID"
check "it dies after its first answer" sh -c "! $MOCK --fetch $(host_of "$MOCK_URL") /stats"
start_mock --delay-start 0.3
get /stats >"$DIR/out"
refused=$?
until get /stats >"$DIR/out"; do :; done
is "it refuses until it starts" "$refused" 69
stop_mock
start_mock --max-seconds 0.1
wait "$MOCK_PID"
is "it says when it ends by itself" "$(cat "$DIR/mock.err")" "mock-lm: --max-seconds 0.1 are over"
if "$MOCK" --make-cert 127.0.0.1 "$DIR/cert" "$DIR/cert.key" && command -v curl >/dev/null; then
	start_mock --rule golden --tls "$DIR/cert" --tls-key "$DIR/cert.key"
	run 0 curl -sS --noproxy '*' --cacert "$DIR/cert" --data-binary "@$DIR/q7" "https://$(host_of "$MOCK_URL")/v1/chat/completions"
	is "over TLS" "$(content | sed -n 2p)" r7
	stop_mock
else
	skip "TLS: needs libssl-dev and curl"
fi
