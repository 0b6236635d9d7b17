# Several servers of one model: the load is shared out, one that is not there or has gone is set aside and
# tried again, one that serves another model is left out by name; nothing of it is seen in the program.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan 20
"$MOCK" --make-data 60 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 300 3 1000 >"$DIR/val.jsonl"
"$MOCK" --make-data 1200 3 5000 >"$DIR/test.jsonl"
URLS="" HOSTS=""
servers() { # servers N OPTIONS...: N more of them, into $URLS (a JSON list's inside) and $HOSTS
	servers_n=$1
	shift
	for _ in $(seq "$servers_n"); do
		start_mock --rule planted --seed 3 "$@"
		URLS="$URLS${URLS:+, }\"$MOCK_URL\""
		HOSTS="$HOSTS $(host_of "$MOCK_URL")"
	done
}
gone() { # ends all servers
	for pid in $MOCKS; do kill "$pid" 2>/dev/null; done
	wait $MOCKS 2>/dev/null
	MOCKS="" URLS="" HOSTS=""
}
job() { # job MORE: of the model
	cat >"$DIR/job.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "testset": "test.jsonl",
 "metric": "answer_exact_match", "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 3},
 "lm": {"model": "hosted_vllm/any", "api_base": [$URLS], "concurrency": 128 $1}, "out": "o"}
EOF
}
requests() { "$MOCK" --fetch "$1" /stats 2>/dev/null | "$MOCK" --json-get requests; }
same() { cmp -s "$DIR/o/program.json" "$DIR/whole.json" && cmp -s "$DIR/o/predictions.jsonl" "$DIR/whole.jsonl"; }

# Each call goes to the server with the fewest in flight. Servers that answer nothing after their first call
# hold all 128 places, so how the machine shares its time decides nothing: each process has an equal share at
# each server, to one call. (calls/the_server_with_the_fewest_in_flight tests the rest.)
in_flight() { for host in $HOSTS; do "$MOCK" --fetch "$host" /stats 2>/dev/null | "$MOCK" --json-get in_flight; done; }
for k in 1 5 9; do
	servers 4 --stall-after 1 --latency 3000 # by the end of the first call all have said what they serve
	for host in $HOSTS; do
		until "$MOCK" --fetch "$host" /stats >/dev/null 2>&1; do sleep 0.05; done
	done
	job
	setsid mpirun --oversubscribe -n $k "$PROGRAM" eval "$DIR/job.json" >"$DIR/out" 2>"$DIR/err" &
	pid=$!
	for _ in $(seq 1200); do
		loads=$(in_flight)
		[ "$(echo $loads | tr ' ' '+' | awk -F+ '{ print $1 + $2 + $3 + $4 }')" -lt 128 ] && kill -0 $pid 2>/dev/null || break
		sleep 0.05
	done
	check "four servers, $k processes: $(echo $loads) calls in flight" sh -c "echo '$loads' | awk '{ s += \$1; if (NR == 1 || \$1 < low) low = \$1; if (\$1 > high) high = \$1 } END { exit !(s == 128 && high <= 32 + $k && low >= 32 - $k) }'"
	pkill -KILL -s $pid
	wait $pid 2>/dev/null
	gone
done
servers 4 --latency-random 20:60
job
SECONDS_LIMIT=60 run 0 mpirun --oversubscribe -n 4 "$PROGRAM" compile "$DIR/job.json" --fresh
check "the undisturbed compile" [ -s "$DIR/o/program.json" ]
cp "$DIR/o/program.json" "$DIR/whole.json"
cp "$DIR/o/predictions.jsonl" "$DIR/whole.jsonl"
gone

# One is killed and one stalls in mid-run
servers 2 --latency-random 20:60
servers 1 --latency-random 20:60 --fail-after 150
servers 1 --latency-random 20:60 --stall-after 200
job ', "timeout": 2, "outage": 60'
SECONDS_LIMIT=100 run 0 mpirun --oversubscribe -n 4 "$PROGRAM" compile "$DIR/job.json" --fresh
check "one killed, one stalled: the same program and scores ($(json seconds "$DIR/out") s)" same
check "no example is lost" [ "$(json testset.compiled.n "$DIR/out") $(json testset.compiled.failed "$DIR/out")" = "1200 0" ]
check "and it was said" said "set aside"
gone

# Servers that are late
start_mock --rule planted --seed 3 --delay-start 300
URLS="\"$MOCK_URL\""
job
SECONDS_LIMIT=60 run_timed 69 "$PROGRAM" compile "$DIR/job.json" --fresh
check "a server that is not up yet, without wait: refused after $TOOK ms" said "is the server up"
gone
start_mock --rule planted --seed 3 --delay-start 4
URLS="\"$MOCK_URL\""
job ', "wait": "30s", "outage": 2'
check "with wait" run 0 mpirun --oversubscribe -n 3 "$PROGRAM" compile "$DIR/job.json" --fresh
check "the same program and scores" same
gone
servers 1 --latency-random 20:60
servers 1 --delay-start 0.5 --latency-random 20:60
job
SECONDS_LIMIT=60 run 0 mpirun --oversubscribe -n 3 "$PROGRAM" compile "$DIR/job.json" --fresh
check "one of two is late: the other begins" same
check "and is joined by it ($(requests ${HOSTS##* }) calls)" [ "$(requests ${HOSTS##* })" -gt 0 ]
gone
URLS='"http://127.0.0.1:9/v1", "http://127.0.0.1:19/v1"'
job
SECONDS_LIMIT=30 run_timed 69 "$PROGRAM" compile "$DIR/job.json" --fresh
check "none of two is there: both named after $TOOK ms" grep -q '127.0.0.1:9/v1.*127.0.0.1:19/v1' "$DIR/err"

start_mock --rule planted --seed 3
URLS="\"$MOCK_URL\""
job
for teacher in http://127.0.0.1:9/v1 http://127.0.0.1:19/v1; do
	[ $teacher = http://127.0.0.1:9/v1 ] || {
		start_mock --key right-key --rule planted
		teacher=$MOCK_URL
	}
	SECONDS_LIMIT=30 run_timed 69 mpirun --oversubscribe -n 3 "$PROGRAM" compile "$DIR/job.json" --fresh --optimizer=bootstrap_few_shot \
		--lms="{\"task\": {\"model\": \"hosted_vllm/any\", \"api_base\": [$URLS]}, \"teacher\": {\"model\": \"hosted_vllm/other\", \"api_base\": \"$teacher\"}}"
	if [ $timed = 0 ] && said "$teacher: model other: "; then
		ok "a teacher that is not to be had ends the run at its start ($TOOK ms): $(grep -o 'model other: .*' "$DIR/err")"
	else
		not_ok "a teacher that is not to be had" "$DIR/err"
	fi
done
gone

# Servers that differ
servers 2 --latency-random 20:60 --model any --max-model-len 32768
servers 1 --model other --max-model-len 4096
job
SECONDS_LIMIT=60 run 0 mpirun --oversubscribe -n 3 "$PROGRAM" compile "$DIR/job.json" --fresh
check "one serves another model: left out" [ "$(requests ${HOSTS##* })" = 0 ]
check "by name: $(grep 'left out' "$DIR/err" | cut -c1-150)" said "http://${HOSTS##* }/v1 is left out: it serves \"other\", not \"any\""
gone
servers 1 --model any --max-model-len 32768 --root /weights/a
servers 1 --model any --max-model-len 4096 --root /weights/b
job
SECONDS_LIMIT=60 run 0 "$PROGRAM" eval "$DIR/job.json"
check "two context lengths are named" said "takes 4096"
check "and two roots" said "from /weights/b"
gone
servers 2 --model other
job
SECONDS_LIMIT=30 run 69 "$PROGRAM" compile "$DIR/job.json" --fresh
check "all serve another one: refused" said 'The model `any` does not exist'
