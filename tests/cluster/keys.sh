# A key goes where it is meant to go, and nowhere else: not to another host, not through the environment's
# proxy, not into arguments, OUT, logs, or the children of ranks.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan 22
KEY=sk-tests-0123456789abcdef
unset OPENAI_BASE_URL OPENAI_API_BASE HOSTED_VLLM_API_BASE HOSTED_VLLM_API_KEY OLLAMA_API_BASE OLLAMA_HOST OLLAMA_API_KEY
"$MOCK" --make-data 30 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 200 3 1000 >"$DIR/val.jsonl"
cat >"$DIR/metric.sh" <<'EOF'
env >>"$1"
cat /proc/$$/cmdline /proc/$PPID/cmdline >>"$1"
while read -r line; do echo '{"score": 1}'; done
EOF
cat >"$DIR/job.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl",
 "metric": {"command": ["sh", "$DIR/metric.sh", "$DIR/children"]},
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 1}, "out": "o"}
EOF
compile() { # compile CODE LMS MORE...: on three ranks
	code=$1 lms=$2
	shift 2
	SECONDS_LIMIT=60 run "$code" mpirun --oversubscribe -n 3 "$PROGRAM" compile "$DIR/job.json" --fresh --lms="$lms" "$@"
}
keys_at() { "$MOCK" --fetch "$1" /stats | "$MOCK" --json-get authorized; }
requests_at() { "$MOCK" --fetch "$1" /stats | "$MOCK" --json-get requests; }

start_mock --rule planted --seed 3 --record "$DIR/seen.a"
a=$(host_of "$MOCK_URL")
start_mock --rule planted --seed 3 --record "$DIR/seen.b"
b=$(host_of "$MOCK_URL")
export OPENAI_API_KEY=$KEY
check "a server of one's own under the name of openai" compile 0 "{\"task\": {\"model\": \"openai/x\", \"api_base\": \"http://$a/v1\"}}"
check "gets no key ($(keys_at "$a") of $(requests_at "$a"))" [ "$(keys_at "$a")" = 0 ]
export OPENAI_BASE_URL="http://$a/v1"
compile 0 "{\"task\": \"openai/x\", \"teacher\": {\"model\": \"openai/x\", \"api_base\": \"http://$b/v1\"}}"
check "OPENAI_BASE_URL gets it" grep -q "\"Authorization\": \"Bearer $KEY\"" "$DIR/seen.a"
check "another host of the same job does not ($(keys_at "$b") of $(requests_at "$b"))" [ "$(keys_at "$b")" = 0 ]
unset OPENAI_BASE_URL
compile 0 "{\"task\": {\"model\": \"hosted_vllm/x\", \"api_base\": \"http://$b/v1\", \"api_key_env\": \"OPENAI_API_KEY\"}}"
check "so does a server whose model names it ($(keys_at "$b") of $(requests_at "$b"))" [ "$(keys_at "$b")" -gt 100 ]
stop_mock

# Variables that are set already: each provider's key goes where that provider's variable leads, and nowhere else
start_mock --rule planted --seed 3 --record "$DIR/seen.c"
c=$(host_of "$MOCK_URL")
export HOSTED_VLLM_API_BASE="http://$c" HOSTED_VLLM_API_KEY=sk-of-vllm-1 OLLAMA_HOST="$c" OLLAMA_API_KEY=sk-of-ollama-2
check "HOSTED_VLLM_API_BASE, and OLLAMA_HOST for another role" compile 0 '{"task": "hosted_vllm/x", "teacher": "ollama_chat/x"}'
check "each gets its own key ($(keys_at "$c") of $(requests_at "$c"))" sh -c "grep -q 'Bearer sk-of-vllm-1' $DIR/seen.c && ! grep -q 'Bearer $KEY' $DIR/seen.c"
given=$(keys_at "$c") asked=$(requests_at "$c")
check "the same address under the name of openai" compile 0 "{\"task\": {\"model\": \"openai/x\", \"api_base\": \"http://$c/v1\"}}"
check "gets none ($(($(keys_at "$c") - given)) of $(($(requests_at "$c") - asked)))" [ "$(keys_at "$c")" = "$given" ]
HOSTED_VLLM_API_BASE="http://$a" compile 0 "{\"task\": {\"model\": \"hosted_vllm/x\", \"api_base\": \"http://$c/v1\"}}"
check "and where the variable does not lead, none" [ "$(keys_at "$c")" = "$given" ]
unset HOSTED_VLLM_API_BASE HOSTED_VLLM_API_KEY OLLAMA_HOST OLLAMA_API_KEY
stop_mock

# While a run is going on: arguments, and then what it leaves
start_mock --rule planted --seed 3 --latency 100 --record "$DIR/seen.b"
b=$(host_of "$MOCK_URL")
before=$(requests_at "$a")
rm -f "$DIR/children"
http_proxy="http://$a" HTTP_PROXY="http://$a" all_proxy="http://$a" setsid mpirun --oversubscribe -n 3 "$PROGRAM" compile "$DIR/job.json" --fresh \
	--lms="{\"task\": {\"model\": \"hosted_vllm/x\", \"api_base\": \"http://$b/v1\", \"api_key_env\": \"OPENAI_API_KEY\", \"concurrency\": 8}}" >"$DIR/out" 2>"$DIR/err" &
pid=$!
until [ "$(requests_at "$b")" -gt 50 ]; do sleep 0.05; done
found=0 looked=0
for p in $(pgrep -s $pid); do
	looked=$((looked + 1))
	tr '\0' ' ' <"/proc/$p/cmdline" 2>/dev/null | grep -q "$KEY" && found=$((found + 1))
done
check "in the arguments of none of $looked processes" [ "$found" = 0 ]
check "which are the ranks and what they started" [ "$looked" -ge 6 ]
wait $pid
check "the run: exit $?" [ -s "$DIR/o/program.json" ]
check "sent its key to its server" grep -q "Bearer $KEY" "$DIR/seen.b"
check "and nothing to the environment's proxy" [ "$(requests_at "$a")" = "$before" ]
check "not in OUT, not in what was said" sh -c "! grep -rqF '$KEY' $DIR/o $DIR/out $DIR/err"
check "not in the environment or arguments of a child" sh -c "[ -s $DIR/children ] && ! grep -qaF '$KEY' $DIR/children"
stop_mock

# A server that sends us elsewhere
start_mock --rule planted --fault redirect=1
compile 69 "{\"task\": {\"model\": \"hosted_vllm/x\", \"api_base\": \"$MOCK_URL\", \"api_key_env\": \"OPENAI_API_KEY\"}}"
check "a redirect is not followed" said "not followed"
stop_mock
unset OPENAI_API_KEY
compile 69 '{"task": "openai/gpt-4o-mini"}'
check "a rank without a key: $(grep 'has no' "$DIR/err" | cut -c1-140)" sh -c "grep -q 'rank [12] on .* has no OPENAI_API_KEY.*mpirun -x OPENAI_API_KEY.*api_key_file' $DIR/err"

# The launcher takes keys to other hosts by name. mpirun is one that writes down what it was asked for.
mkdir "$DIR/bin"
printf '#!/bin/sh\nprintf "%%s\\n" "$*" >"%s"\nexit 3\n' "$DIR/words" >"$DIR/bin/mpirun"
chmod +x "$DIR/bin/mpirun"
https_proxy=http://p:3128 OPENAI_API_KEY=$KEY MY_KEY=$KEY-2 PATH="$DIR/bin:$PATH" run 70 "$PROGRAM" launch -n 2 --restarts 0 compile "$DIR/job.json" \
	--lms='{"task": "openai/x", "teacher": {"model": "openai/y", "api_key_env": "MY_KEY"}, "prompt": {"model": "openai/z", "api_key_env": "NOT_SET"}}'
check "launch: every rank gets the keys that the job names" grep -q -e ' -x OPENAI_API_KEY -x MY_KEY -' "$DIR/words"
check "and the proxies of this environment" grep -q -e ' -x https_proxy -' "$DIR/words"
check "by name: no key is an argument" sh -c "! grep -qF '$KEY' $DIR/words"
