# One run of a job at a time; whose the journal is; what may change between two attempts and what may not.
. tests/lib.sh
plan 26
start_mock --rule planted --seed 9 --latency 40
"$MOCK" --make-data 40 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 20 9 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 3},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 4}, "out": "o"}
END
lock="$DIR/o/journal.lock"
start() { # in the background, until it writes
	"$PROGRAM" compile "$DIR/job.json" "$@" >"$DIR/out.1" 2>"$DIR/err.1" &
	pid=$!
	until [ -s "$DIR/o/journal" ]; do sleep 0.02; done
}
one_sentence() { [ "$(grep -c '^dspy-mpi: ' "$DIR/err")" = 1 ]; }
forget_end() { sed -i 's/"status": "done"/"status": "running"/' "$DIR/o/status.json"; }

start
check "a second run of the same OUT is refused" run 73 "$PROGRAM" compile "$DIR/job.json"
check "in one sentence that names the process" one_sentence && said "process $pid is writing there"
check "with --fresh too" run 73 "$PROGRAM" compile "$DIR/job.json" --fresh
kill -9 $pid
wait $pid 2>/dev/null
check "kill -9 leaves the lock file, of a process that is dead" grep -q " $pid " "$lock"
check "it is taken over" run 0 "$PROGRAM" compile "$DIR/job.json"
check "and gone at the end" [ ! -e "$lock" ]

forget_end
sleep 30 &
other=$!
started=$(awk '{ print $22 }' "/proc/$other/stat")
echo "dspy-mpi $(hostname) $other $started 7" >"$lock"
check "a process that lives holds it without a lock of the file system" run 73 "$PROGRAM" compile "$DIR/job.json"
echo "dspy-mpi $(hostname) $other $((started - 1)) 7" >"$lock"
check "not when its number was given to another process" run 0 "$PROGRAM" compile "$DIR/job.json"
kill $other

forget_end
printf '%-511s\n' "dspy-mpi elsewhere 77 1 7" >"$lock"
(
	for i in 1 2 3 4 5 6; do
		sleep 1
		printf '%-511s\n' "dspy-mpi elsewhere 77 1 $((7 + i))" | dd of="$lock" conv=notrunc 2>/dev/null
	done
) &
check "another host whose counter moves holds it" run 73 "$PROGRAM" compile "$DIR/job.json"
check "it is named" said "process 77 on elsewhere is writing there"
wait $!
printf '%-511s\n' "dspy-mpi elsewhere 77 1 7" >"$lock"
check "one whose counter stands still is taken over" run_timed 0 "$PROGRAM" compile "$DIR/job.json"
check "after 15 s ($TOOK ms), with a line" [ "$TOOK" -ge 15000 ]
check "the line" said "taken over from process 77 on elsewhere"

# A run that stood still for so long that another host took over writes nothing more
rm -rf "$DIR/o"
start --lm.concurrency=1
printf '%-511s\n' "dspy-mpi elsewhere 77 1 7" | dd of="$lock" conv=notrunc 2>/dev/null
wait $pid
rc=$?
cp "$DIR/err.1" "$DIR/err"
check "a run that was taken over ends, exit $rc" said "another run has taken it over"
rm -f "$lock"

# What may change
rm -rf "$DIR/o"
start
sleep 0.2
kill -9 $pid
wait $pid 2>/dev/null
check "other concurrency and --fsync=each: resumed" run 0 "$PROGRAM" compile "$DIR/job.json" --lm.concurrency=9 --fsync=each
check "said" said "resumed"
forget_end
check "--fsync=none" run 0 "$PROGRAM" compile "$DIR/job.json" --fsync=none
check "--fsync=often is refused" run 64 "$PROGRAM" compile "$DIR/job.json" --fsync=often

# What may not: also where only the journal is left
forget_end
refused() { # refused KEY FLAG
	run 73 "$PROGRAM" compile "$DIR/job.json" "$2" && grep -q "\`$1\` differs" "$DIR/err" && one_sentence
}
head -30 "$DIR/train.jsonl" >"$DIR/short.jsonl"
all() {
	for pair in program=--program='{"predict": "question -> answer, note"}' trainset=--trainset="$DIR/short.jsonl" metric=--metric=contains \
		seed=--seed=5 optimizer=--optimizer.num_candidate_programs=2 lm=--lm.temperature=0.5 inputs='--inputs=["question", "answer"]'; do
		refused "${pair%%=*}" "${pair#*=}" || {
			echo "$pair" >>"$DIR/err"
			return 1
		}
	done
}
check "program, data, metric, seed, optimizer, model, inputs: refused by name" all
mv "$DIR/o/status.json" "$DIR/status.json"
check "by the journal alone too" all
mv "$DIR/status.json" "$DIR/o/status.json"

# The server
port=${MOCK_URL#http://127.0.0.1:}
port=${port%/v1}
stop_mock
start_mock --rule planted --seed 9 --latency 1 --port "$port" --root /models/other
check "a server that serves other weights is refused" run 73 "$PROGRAM" compile "$DIR/job.json"
check "with what it serves" said "\"any\" then, \"/models/other\" now"
check "--accept-model-change" run 0 "$PROGRAM" compile "$DIR/job.json" --accept-model-change
forget_end
check "from then on it is the known one" run 0 "$PROGRAM" compile "$DIR/job.json"
stop_mock
forget_end
check "a finished journal needs no server" run 0 "$PROGRAM" compile "$DIR/job.json"
check "the help says what each --fsync may lose" sh -c "$PROGRAM compile --help | grep -q \"fsync=each|1s|none\""
