# The way to the model: certificates, limits, and answers that end wrongly. What is worth trying again
# leaves no trace in the program.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan 17
"$MOCK" --make-data 40 1 0 >"$DIR/train.jsonl"
job() { # job URL MORE
	cat >"$DIR/job.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset_size": 20, "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 1},
 "lm": {"model": "hosted_vllm/any", "api_base": "$1", "concurrency": 8, "num_retries": 12 $2}, "out": "o"}
EOF
}
compile() { SECONDS_LIMIT=60 run "$1" "$PROGRAM" compile "$DIR/job.json" --fresh; }
same() { cmp -s "$DIR/o/program.json" "$DIR/undisturbed.json"; }

start_mock --rule planted
job "$MOCK_URL"
check "the undisturbed run" compile 0
cp "$DIR/o/program.json" "$DIR/undisturbed.json"
stop_mock
for kind in short_length wrong_length close_before_headers reset_after_headers slow_first_byte; do
	start_mock --rule planted --slow 100 --fault $kind=.2
	job "$MOCK_URL"
	compile 0
	check "a fifth of the answers $kind ($(stat_of faulted) of them): the same program" same
	case $kind in close_before_headers | reset_after_headers)
		# curl itself sends again what a kept connection swallowed; the server may have billed both
		check "$kind: calls counted $(json calls "$DIR/out"), at the server $(stat_of requests)" [ "$(json calls "$DIR/out")" = "$(stat_of requests)" ]
		;;
	esac
	stop_mock
done
start_mock --rule planted --rpm 1800
job "$MOCK_URL"
compile 0
check "a server with a limit ($(stat_of statuses)): the same program" same
stop_mock

# One limit for all ranks together
"$MOCK" --make-data 130 1 0 >"$DIR/test.jsonl"
start_mock --rule planted
cat >"$DIR/rates.json" <<EOF
{"program": {"predict": "question -> answer"}, "testset": "test.jsonl", "metric": "answer_exact_match",
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 64, "rpm": 1200}}
EOF
run 0 mpirun --oversubscribe -n 5 "$PROGRAM" eval "$DIR/rates.json"
rate=$(stat_of span | awk '{ printf "%d", 60 * 130 / $1 }')
check "rpm 1200 and 5 ranks: $rate a minute with the burst at the start" [ "$rate" -gt 0 -a "$rate" -le 1320 ]
stop_mock
start_mock --rule planted --fault 429=.05 --retry-after 2
run_timed 0 mpirun --oversubscribe -n 3 "$PROGRAM" eval "$DIR/rates.json" --lm.rpm=0 --lm.api_base="$MOCK_URL"
check "Retry-After is obeyed: $(stat_of statuses) took $TOOK ms" [ "$TOOK" -ge 2000 ]
stop_mock
# (that all ranks wait when one was told: tests/unit/test_crew.c, to the call)
start_mock --rule planted --fault 429_date=.05 --retry-after 3
run_timed 0 mpirun --oversubscribe -n 3 "$PROGRAM" eval "$DIR/rates.json" --lm.rpm=0 --lm.api_base="$MOCK_URL"
check "also as a date: $(stat_of statuses) took $TOOK ms" [ "$TOOK" -ge 2000 ]
stop_mock

if ! "$MOCK" --make-cert 127.0.0.1 "$DIR/good" "$DIR/good.key"; then
	skip_all 5 "TLS: the mock server was built without libssl-dev"
	exit 0
fi
"$MOCK" --make-cert 127.0.0.1 "$DIR/old" "$DIR/old.key" -3
"$MOCK" --make-cert example.org "$DIR/foreign" "$DIR/foreign.key"
tls() { # tls NAME CERT MORE CODE
	start_mock --rule planted --tls "$DIR/$2" --tls-key "$DIR/$2.key"
	job "https://$(host_of "$MOCK_URL")/v1" "$3"
	if compile "$4" && { [ "$4" = 0 ] || said certificate; }; then
		ok "$1: exit $4"
	else
		not_ok "$1: exit $4 and a word about the certificate" "$DIR/err"
	fi
	stop_mock
}
tls "a certificate of the user's own" good ", \"ca_file\": \"$DIR/good\"" 0
tls "one that nobody vouches for" good "" 69
check "and ca_file is what to do" said ca_file
tls "one that ran out" old ", \"ca_file\": \"$DIR/old\"" 69
tls "one of another host" foreign ", \"ca_file\": \"$DIR/foreign\"" 69
