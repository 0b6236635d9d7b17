# How servers are found: addresses as people write them, models that are called otherwise or load, proxies of the
# environment, certificates on both sides.
. tests/lib.sh
plan 46
unset OPENAI_BASE_URL OPENAI_API_KEY http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY
unset SSL_CERT_FILE SSL_CERT_DIR CURL_CA_BUNDLE
"$MOCK" --make-data 4 1 0 >"$DIR/test.jsonl"
job() { # job MODEL URL MORE
	cat >"$DIR/job.json" <<EOT
{"program": {"predict": "question -> answer"}, "testset": "test.jsonl", "metric": "answer_exact_match",
 "lm": {"model": "$1", "api_base": "$2", "num_retries": 0 $3}}
EOT
}
eval_job() { SECONDS_LIMIT=60 run "$1" "$PROGRAM" eval "$DIR/job.json"; }
ends() { # ends WHAT CODE WORDS: eval ends so, and says the words
	if eval_job "$2" && said "$3"; then ok "$1"; else not_ok "$1: exit $2, \"$3\"" "$DIR/err"; fi
}

# ---- paths and names ----
start_mock --rule planted --under /v1 --model llama3.2:1b,qwen3:8b
root=${MOCK_URL%/v1}
for model in ollama_chat hosted_vllm; do
	for base in "$root" "$MOCK_URL/chat/completions"; do
		job $model/llama3.2:1b "$base"
		eval_job 0
		check "$model at http://${base#http://*:}" said ""
	done
done
job openai/llama3.2:1b "$root"
ends "another class: the address that was meant is named" 69 "did you mean $MOCK_URL?"
job openai/llama3.2:1b "$root/api"
ends "with a path too" 69 "did you mean $MOCK_URL?"
check "and the server's words" said '"404 page not found"; a gateway or proxy in front?'
job hosted_vllm/llama3.2 "$MOCK_URL"
ends "an unknown model" 69 'the server serves "llama3.2:1b" and "qwen3:8b"'
check "with the nearest" said 'did you mean "llama3.2:1b"?'
run 69 "$PROGRAM" check "$DIR/job.json" --live
check "check --live says it too" grep -q 'the server serves "llama3.2:1b"' "$DIR/out"
job openai/llama3.2:1b "$root"
run 69 "$PROGRAM" check "$DIR/job.json" --live
check "and the address" grep -q "did you mean $MOCK_URL?" "$DIR/out"
run 69 "$PROGRAM" run "$DIR/job.json" --input question=x
check "and so does run" grep -q "did you mean $MOCK_URL?" "$DIR/out" "$DIR/err"
stop_mock
start_mock --rule planted --under /gate/v1
job hosted_vllm/any "${MOCK_URL%/v1}/gate"
ends "a gateway's path without /v1: it is asked behind it" 0 "requests go there"
stop_mock
export TEST_KEY=sk-ant-of-a-test
start_mock --rule planted --strict anthropic --under /v1 --key $TEST_KEY
job anthropic/claude-sonnet-4-6 "${MOCK_URL%/v1}" ', "api_key_env": "TEST_KEY"'
ends "a gateway to Anthropic's without /v1: so too" 0 "requests go there"
unset TEST_KEY
stop_mock
start_mock --rule planted --loading 1
job hosted_vllm/any "$MOCK_URL"
ends "a server that loads its model is waited for" 0 "is loading its model: waiting for it, for at most 60 s"
stop_mock
start_mock --rule planted --loading 1000
job hosted_vllm/any "$MOCK_URL" ', "wait": 1'
ends "as long as the job says" 69 "lm.wait"
stop_mock

# ---- of two servers the one that takes less decides what both are sent ----
start_mock --rule planted
strong=$MOCK_URL
start_mock --rule planted --format-fault 400_format
job openai/gpt-4o-mini "$strong\", \"$MOCK_URL"
sed -i 's/"api_base": \(.*\)", "num_retries"/"api_base": [\1"], "num_retries"/; s/^{/{"adapter": "json", /' "$DIR/job.json"
ends "one of two servers takes no response_format" 0 ""
check "it is asked with each form of it once ($(stat_of statuses))" [ "$(stat_of statuses.400)" -le 2 ]
check "and no example fails" [ "$(json testset.failed "$DIR/out")" = 0 ]
stop_mock

# ---- proxies: the name of no host of ours, which the proxy knows ----
proxy() { # proxy KIND: sets PROXY, HOST:PORT
	rm -f "$DIR/proxy.port" "$DIR/proxy.log"
	: >"$DIR/proxy.log"
	python3 tests/mock_lm/proxy.py "$DIR/proxy.port" "$DIR/proxy.log" "$1" &
	MOCKS="$MOCKS $!" PROXY_PID=$!
	until [ -s "$DIR/proxy.port" ]; do sleep 0.05; done
	PROXY=127.0.0.1:$(cat "$DIR/proxy.port")
}
asked() { wc -l <"$DIR/proxy.log"; }
start_mock --rule planted
port=${root##*:} port=$(host_of "$MOCK_URL") port=${port#*:}
far=http://models.example.com:$port/v1
proxy open:me:pass-word-9
job hosted_vllm/any "$far" ', "price": {"prompt": 0, "completion": 0}'
http_proxy="me:pass-word-9@$PROXY" ends "http_proxy, with user and password: it is named" 0 "is asked through the proxy ***@$PROXY, as http_proxy says"
check "and asked, $(asked) times" [ "$(asked)" -ge 4 ]
check "its password is not said" sh -c "! grep -q pass-word $DIR/err $DIR/out"
http_proxy="http://$PROXY" ends "without them" 69 "the proxy http://$PROXY says: HTTP 407"
before=$(asked)
http_proxy="http://$PROXY" no_proxy="x.org, .example.com" eval_job 69
check "no_proxy" [ "$(asked)" = "$before" ]
job hosted_vllm/any "$MOCK_URL"
http_proxy="http://$PROXY" all_proxy="http://$PROXY" ends "never for loopback" 0 ""
check "nothing was asked of it" [ "$(asked)" = "$before" ]
job hosted_vllm/any "$far" ', "price": {"prompt": 0, "completion": 0}, "api_key_env": "MY_KEY"'
export MY_KEY=sk-not-for-proxies-1
http_proxy="me:pass-word-9@$PROXY" ends "a key is not sent to a proxy in the clear" 69 "name the proxy with lm.proxy"
check "nothing was asked of it" [ "$(asked)" = "$before" ]
job hosted_vllm/any "$far" ", \"price\": {\"prompt\": 0, \"completion\": 0}, \"api_key_env\": \"MY_KEY\", \"proxy\": \"http://me:pass-word-9@$PROXY\""
ends "but if lm.proxy says so" 0 "as lm.proxy says"
unset MY_KEY
for kind in 403 html; do
	proxy $kind
	job hosted_vllm/any "$far" ', "price": {"prompt": 0, "completion": 0}'
	http_proxy="http://$PROXY" ends "a proxy that says $kind" 69 "the proxy http://$PROXY says: HTTP"
done
stop_mock

# ---- certificates ----
if ! "$MOCK" --make-cert models.example.com "$DIR/good" "$DIR/good.key"; then
	skip_all 5 "TLS: the mock server was built without libssl-dev"
	exit 0
fi
"$MOCK" --make-cert 127.0.0.1 "$DIR/own" "$DIR/own.key"
start_mock --rule planted --tls "$DIR/good" --tls-key "$DIR/good.key"
port=$(host_of "$MOCK_URL") port=${port#*:}
proxy open
export MY_KEY=sk-in-a-tunnel-1
job hosted_vllm/any "https://models.example.com:$port/v1" ', "price": {"prompt": 0, "completion": 0}, "api_key_env": "MY_KEY"'
export https_proxy="http://$PROXY"
SSL_CERT_FILE=$DIR/good ends "SSL_CERT_FILE counts, through a tunnel of https_proxy" 0 "through the proxy http://$PROXY, as https_proxy says"
check "the proxy does not see the key" sh -c "grep -q '^CONNECT models.example.com:$port - -' $DIR/proxy.log && ! grep -q key $DIR/proxy.log"
SSL_CERT_FILE=$DIR/good CURL_CA_BUNDLE=$DIR/own ends "before CURL_CA_BUNDLE" 0 ""
CURL_CA_BUNDLE=$DIR/own ends "another authority" 69 "certificate"
SSL_CERT_FILE=$DIR/nowhere ends "one that is not there" 69 "nowhere, which SSL_CERT_FILE names, cannot be read"
job hosted_vllm/any "https://models.example.com:$port/v1" ", \"price\": {\"prompt\": 0, \"completion\": 0}, \"api_key_env\": \"MY_KEY\", \"ca_file\": \"good\""
CURL_CA_BUNDLE=$DIR/own SSL_CERT_FILE=$DIR/own ends "ca_file, which lies beside the job, wins" 0 ""
for kind in 403 407 502; do
	proxy $kind
	https_proxy="http://$PROXY" ends "a proxy that opens no way: $kind" 69 "the proxy http://$PROXY says: HTTP $kind"
done
unset https_proxy
stop_mock
start_mock --rule planted --tls "$DIR/own" --tls-key "$DIR/own.key" --tls-clients "$DIR/good"
url=https://${MOCK_URL#http://}
job hosted_vllm/any "$url" ', "ca_file": "own"'
ends "a server that wants to know who asks" 69 "cert_file"
job hosted_vllm/any "$url" ', "ca_file": "own", "cert_file": "good", "key_file": "good.key"'
ends "is told by a certificate and its key" 0 ""
cat "$DIR/good" "$DIR/good.key" >"$DIR/both"
job hosted_vllm/any "$url" ', "ca_file": "own", "cert_file": "both"'
ends "which may stand in one file" 0 ""
job hosted_vllm/any "$url" ', "ca_file": "own", "cert_file": "own", "key_file": "own.key"'
ends "one that the server does not know" 69 "cert_file"
job hosted_vllm/any "$url" ', "ca_file": "own", "cert_file": "good", "key_file": "own.key"'
ends "a key of another certificate" 69 "cert_file and key_file have to be"
job hosted_vllm/any "$url" ', "ca_file": "own", "key_file": "good.key"'
ends "a key alone" 78 "cert_file"
