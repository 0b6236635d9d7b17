# What can be tried again leaves no trace: with every retryable fault in turn at a fifth of the answers, and
# 12 retries, the program, every candidate and every score are those of the run without faults (src/README.md §5).
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
KINDS=${KINDS:-429 429_date 429_plain 529 408 425 500 502 503 504 reset_before_headers close_before_headers reset_after_headers
	wrong_length short_length truncated_json wrong_json invalid_utf8 empty_choices error_in_200 502_in_200 half_character event_stream
	slow_first_byte stall_body huge_body duplicate_answer}
RATE=${RATE:-.2} AT_ONCE=${AT_ONCE:-13}
plan $(($(echo $KINDS | wc -w) + 1))
"$MOCK" --make-data 16 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 12 3 1000 >"$DIR/val.jsonl"
"$MOCK" --make-data 20 3 5000 >"$DIR/test.jsonl"
cat >"$DIR/job.json" <<EOF
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"}, {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "testset": "test.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 1, "max_bootstrapped_demos": 2},
 "lm": {"model": "hosted_vllm/any", "concurrency": 64, "num_retries": 12, "timeout": 20}}
EOF
evidence() { (cd "$DIR/$1" && cat program.json predictions.jsonl trials.csv candidates/*); }
one() { # one KIND [RATE]: a compile of its own, in the background
	kind=$1
	timeout=20
	case $kind in stall_body) timeout=1 ;; huge_body) timeout=10 ;; esac
	"$MOCK" --port-file "$DIR/$kind.port" --rule planted --seed 3 --retry-after 1 --slow 300 --fault "$kind=${2:-$RATE}" >/dev/null &
	mock=$!
	until [ -s "$DIR/$kind.port" ]; do sleep 0.05; done
	host=127.0.0.1:$(cat "$DIR/$kind.port")
	timeout -k 5 120 mpirun --oversubscribe -n 3 "$PROGRAM" compile "$DIR/job.json" --lm.api_base="http://$host/v1" \
		--lm.timeout=$timeout --out="$DIR/o.$kind" >"$DIR/$kind.out" 2>"$DIR/$kind.err"
	echo $? >"$DIR/$kind.rc"
	"$MOCK" --fetch "$host" /stats >"$DIR/$kind.stats"
	kill $mock
	wait $mock
}
one 503 0
mv "$DIR/o.503" "$DIR/whole"
rm "$DIR/503.port"
check "the run without faults: exit $(cat "$DIR/503.rc")" [ "$(cat "$DIR/503.rc")" = 0 ]
evidence whole >"$DIR/whole.txt"
judge() { # judge KIND: what its run left
	kind=$1
	spoilt="$(json faulted "$DIR/$kind.stats") of $(json requests "$DIR/$kind.stats")"
	evidence "o.$kind" 2>/dev/null >"$DIR/txt"
	if [ "$(cat "$DIR/$kind.rc")" = 0 ] && cmp -s "$DIR/txt" "$DIR/whole.txt" && [ "${spoilt%% *}" -gt 10 ]; then
		ok "$kind, $spoilt answers: the same program and scores, $(json seconds "$DIR/$kind.out") s"
	else
		not_ok "$kind, $spoilt answers: exit $(cat "$DIR/$kind.rc")" "$DIR/$kind.err" "$DIR/$kind.out"
	fi
}
# shellcheck disable=SC2086
side_by_side "$AT_ONCE" one judge $KINDS
