# Pull the plug at any moment: the next start goes on where the journal ends, at any rank count, and the
# program is the one of the undisturbed run. No journaled call is made again (counted at the server), so
# what a crash costs is at most what was in flight.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
ROUNDS=${ROUNDS:-4} # MIN_HITS=100: on, until so many kills came in mid-run
start_mock --rule planted --seed 9 --mark yes --latency 40
"$MOCK" --make-data 60 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 40 9 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<EOF
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"},
                       {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 4},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16}}
EOF
check "the undisturbed run" run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole"
calls=$(stat_of requests)
post /whole >/dev/null
rounds_of_kills "$calls"
before=$(stat_of requests)
sed -i 's/"status": "done"/"status": "running"/' "$DIR/o/status.json"
check "a finished journal replays without a call" run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o"
check "counted: $(($(stat_of requests) - before))" [ "$(stat_of requests)" = "$before" ]
sed -i 's/"status": "done"/"status": "running"/' "$DIR/o/status.json"
head -c $(($(wc -c <"$DIR/o/journal") - 7)) "$DIR/o/journal" >"$DIR/torn" && cp "$DIR/torn" "$DIR/o/journal"
run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o"
check "a torn tail is cut, said, and paid for again" said "torn record"
sed -i 's/"status": "done"/"status": "running"/' "$DIR/o/status.json"
printf 'XXXX' | dd of="$DIR/o/journal" bs=1 seek=2000 conv=notrunc 2>/dev/null
check "damage in the middle is refused" run 73 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o"
check "with its offset and what to do" said "truncate -s"
plan $n # at the end: how many rounds there are is known then
