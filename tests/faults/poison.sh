# One request that never succeeds at a server that answers all others is that example's failure, after a few
# requests and with the server's words; and no example is lost to chance at a server that fails often (src/README.md §5).
# CALLS=10000 for the full length of the latter.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
CALLS=${CALLS:-1500} AT_ONCE=${AT_ONCE:-10}
REQUEST=${REQUEST:-500 html_500 truncated_json wrong_json empty_choices error_in_200 502_in_200 null_error_in_200 invalid_utf8 half_character overlong event_stream empty_body}
CONTENT=${CONTENT:-null_content empty_content no_content refusal no_text_parts}
plan $(($(echo $REQUEST $CONTENT | wc -w) + 18))
"$MOCK" --make-data 16 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 30 3 1000 >"$DIR/val.jsonl"
"$MOCK" --make-data "$CALLS" 3 100000 >"$DIR/many.jsonl"
POISONED="item 1017:"
job() { # job URLS MORE: labelled demos for a program of one step
	cat >"$DIR/job.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "failure_score": 0.25,
 "metric": "answer_exact_match", "optimizer": {"name": "labeled_few_shot"},
 "lm": {"model": "hosted_vllm/any", "api_base": [$1]${2:+, $2}}, "out": "o"}
EOF
}
rows() { grep -c "$1" "$DIR/o/predictions.jsonl"; }
line_of() { grep '"id": "row 18"' "$DIR/$1/predictions.jsonl" | head -1; }
counted() { echo "$(json valset.baseline.n "$1") $(json valset.baseline.failed "$1")"; }

# The same with every kind of reply, start and one program: exit 0, one failure each, six requests each.
one() { # one KIND: a compile of its own, in the background
	kind=$1
	"$MOCK" --port-file "$DIR/$kind.port" --rule planted --seed 3 --poison "$POISONED$kind" >/dev/null &
	mock=$!
	until [ -s "$DIR/$kind.port" ]; do sleep 0.05; done
	host=127.0.0.1:$(cat "$DIR/$kind.port")
	timeout -k 5 100 "$PROGRAM" compile "$DIR/job.json" --lm.api_base="http://$host/v1" --out="$DIR/o.$kind" >"$DIR/$kind.out" 2>"$DIR/$kind.err"
	echo $? >"$DIR/$kind.rc"
	"$MOCK" --fetch "$host" /stats >"$DIR/$kind.stats"
	kill $mock
	wait $mock
}
job '"http://127.0.0.1:9/v1"'
judge() { # judge KIND: what its run left
	kind=$1
	class=server most=12
	case " $CONTENT " in *" $kind "*) class=parse most=4 ;; esac
	got="$(cat "$DIR/$kind.rc") $(counted "$DIR/$kind.out") $(json poisoned "$DIR/$kind.stats")"
	line=$(line_of o.$kind)
	case $line in *"\"score\": 0.25, \"error\": \"$class\", \"message\": \""*) ;; *) got="$got $line" ;; esac
	if [ "$got" = "0 30 1 $most" ]; then
		ok "$kind: failed as $class, $most requests in two programs: ${line##*message}"
	else
		not_ok "$kind: $got" "$DIR/$kind.err" "$DIR/$kind.out"
	fi
}
# shellcheck disable=SC2086
side_by_side "$AT_ONCE" one judge $REQUEST $CONTENT

# Text that is odd and still text
for kind in 'nul:a\u0000b' 'lone_surrogate:a�b'; do
	start_mock --rule planted --seed 3 --poison "$POISONED${kind%%:*}"
	job "\"$MOCK_URL\"" '"concurrency": 8'
	run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
	check "${kind%%:*}: kept as ${kind#*:}" sh -c "grep -qF '\"outputs\": {\"answer\": \"${kind#*:}\"}' '$DIR/o/predictions.jsonl'"
	stop_mock
done

# In every command, at any number of ranks, wherever it stands
start_mock --rule planted --seed 3 --poison "${POISONED}500"
job "\"$MOCK_URL\""
sed 's/, "answer".*/}/' "$DIR/val.jsonl" >"$DIR/inputs.jsonl"
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
post /reset >/dev/null
run 65 "$PROGRAM" run "$DIR/o/program.json" --job "$DIR/job.json" --inputs-file "$DIR/inputs.jsonl" || rc="not 65"
check "run: $(wc -l <"$DIR/out") rows, one of them {\"error\"}, $(stat_of poisoned) requests" [ "$rc $(wc -l <"$DIR/out") $(sed -n 18p "$DIR/out" | cut -c1-9) $(grep -c error "$DIR/out") $(stat_of poisoned)" = '65 30 {"error": 1 6' ]
post /reset >/dev/null
run 0 "$PROGRAM" eval "$DIR/job.json" --split valset
check "eval: $(json valset.n "$DIR/out") count, $(json valset.failed "$DIR/out") failed, $(stat_of poisoned) requests" [ "$(json valset.n "$DIR/out") $(json valset.failed "$DIR/out") $(stat_of poisoned)" = "30 1 6" ]
cp "$DIR/o/predictions.jsonl" "$DIR/whole.jsonl"
cp "$DIR/o/program.json" "$DIR/whole.json"
for ranks in 1 3 5; do
	post /reset >/dev/null
	run 0 mpirun --oversubscribe -n $ranks "$PROGRAM" compile "$DIR/job.json" --fresh
	same=$(cmp "$DIR/o/predictions.jsonl" "$DIR/whole.jsonl" && cmp "$DIR/o/program.json" "$DIR/whole.json" && echo same)
	check "$ranks processes: the same program and predictions, $(stat_of poisoned) requests" [ "$same $(stat_of poisoned)" = "same 12" ]
done
post /reset >/dev/null
job "\"$MOCK_URL\"" '"concurrency": 1'
run 0 "$PROGRAM" eval "$DIR/job.json" --split valset
check "one call at a time" [ "$(json valset.n "$DIR/out") $(json valset.failed "$DIR/out") $(stat_of poisoned)" = "30 1 6" ]
stop_mock
for item in 1000 1029; do # the first, before anything was answered; the last, when nothing else is under way
	start_mock --rule planted --seed 3 --poison "item $item::500"
	job "\"$MOCK_URL\"" '"concurrency": 1'
	run 0 "$PROGRAM" eval "$DIR/job.json" --split valset
	check "item $item: $(stat_of poisoned) requests, $(stat_of requests) in all" [ "$(json valset.failed "$DIR/out") $(stat_of poisoned)" = "1 6" ]
	stop_mock
done

# Two servers that are well: neither is set aside
start_mock --rule planted --seed 3 --poison "${POISONED}500"
first=$MOCK_URL
start_mock --rule planted --seed 3 --poison "${POISONED}500"
job "\"$first\", \"$MOCK_URL\""
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
asked=$(stat_of poisoned)
stop_mock
second=$MOCK_URL MOCK_URL=$first
check "two servers: asked $asked and $(stat_of poisoned) times, none is set aside" [ "$((asked + $(stat_of poisoned))) $(grep -c aside "$DIR/err")" = "12 0" ]
MOCK_PID=${MOCKS# }
stop_mock

# A server that says 500 to everybody beside one that is well: nothing is lost
start_mock --rule planted --seed 3 --fault 500=1
first=$MOCK_URL
start_mock --rule planted --seed 3
job "\"$first\", \"$MOCK_URL\""
run 0 "$PROGRAM" eval "$DIR/job.json" --split valset
check "one of two always fails: no example is lost" [ "$(json valset.n "$DIR/out") $(json valset.failed "$DIR/out")" = "30 0" ]
stop_mock

# What is sent is reserved
start_mock --rule planted --seed 3 --poison "item 1029::500"
job "\"$MOCK_URL\""
worst=""
for cap in 12 31 33 36 40 44; do
	post /reset >/dev/null
	run 0 "$PROGRAM" compile "$DIR/job.json" --fresh --budget.calls=$cap || worst="$worst exit at $cap"
	[ "$(stat_of requests)" -le $cap ] || worst="$worst $(stat_of requests) at $cap"
done
check "caps of 12 to 44 calls are kept${worst:+:$worst}" [ -z "$worst" ]
# the cap of 40 left that example alone; it goes on where nothing else is left to ask
post /reset >/dev/null
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh --budget.calls=33
before=$(stat_of requests)
run 0 "$PROGRAM" compile "$DIR/job.json" --budget.calls=1000
check "a run that was cut there is resumed, $before and $(($(stat_of requests) - before)) calls" [ "$(json status "$DIR/out") $(counted "$DIR/out")" = "done 30 1" ]
stop_mock

# A server that says 500 to everybody in mid-run is an outage, and no example's failure
start_mock --rule planted --seed 3 --ill-after 20
job "\"$MOCK_URL\"" '"concurrency": 4, "outage": 5'
SECONDS_LIMIT=60 run 75 "$PROGRAM" compile "$DIR/job.json" --fresh
check "500 to everybody: stopped, $(stat_of faulted) requests in vain" [ "$(json reason "$DIR/out")" = outage -a "$(stat_of faulted)" -lt 80 ]
stop_mock
start_mock --rule planted --seed 3
job "\"$MOCK_URL\"" '"concurrency": 4, "outage": 5'
run 0 "$PROGRAM" compile "$DIR/job.json"
check "and goes on when it is well: nothing is lost" [ "$(counted "$DIR/out")" = "30 0" ]
stop_mock

# A search with a bootstrapped example and a proposal that never succeed
start_mock --rule planted --seed 3 --poison "item 3::500" --poison "${POISONED}truncated_json" --poison "item 0::502_in_200"
job "\"$MOCK_URL\""
SECONDS_LIMIT=200 run 0 mpirun --oversubscribe -n 3 "$PROGRAM" compile "$DIR/job.json" --fresh --optimizer='{"name": "mipro_v2", "auto": null, "num_candidates": 3, "num_trials": 5, "minibatch_size": 10, "max_bootstrapped_demos": 2, "max_labeled_demos": 2}'
check "MIPROv2: $(json valset.baseline.failed "$DIR/out") and $(json valset.compiled.failed "$DIR/out") failed of $(json valset.compiled.n "$DIR/out")" [ "$(json status "$DIR/out") $(counted "$DIR/out") $(json valset.compiled.failed "$DIR/out")" = "done 30 1 1" ]
stop_mock

# Chance: a quarter of all replies are spoilt
start_mock --rule planted --seed ${SEED:-3} --fault 500=.1,truncated_json=.05,error_in_200=.05,invalid_utf8=.05
job "\"$MOCK_URL\"" '"concurrency": 200'
SECONDS_LIMIT=500 run 0 "$PROGRAM" eval "$DIR/job.json" --valset="$DIR/many.jsonl" --split valset
check "a quarter of $(stat_of requests) replies spoilt: $(json valset.failed "$DIR/out") of $(json valset.n "$DIR/out") examples lost" [ "$(json valset.n "$DIR/out") $(json valset.failed "$DIR/out")" = "$CALLS 0" ]
stop_mock
