# MIPROv2 killed in mid-run and resumed at other rank counts: the program of the undisturbed run, and no
# journaled call again. No optimizer has code for that; demo sets, proposals and search are replayed.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
ROUNDS=${ROUNDS:-1} # MIN_HITS=100: on, until so many kills came in mid-run
start_mock --rule planted --seed 9 --mark yes --latency 15
"$MOCK" --make-data 60 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 60 9 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<EOF
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"},
                       {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "mipro_v2"}, "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16}}
EOF
check "the undisturbed run" run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole"
calls=$(stat_of requests)
post /whole >/dev/null
rounds_of_kills "$calls"
before=$(stat_of requests)
sed -i 's/"status": "done"/"status": "running"/' "$DIR/o/status.json"
check "a finished journal replays without a call" run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o"
check "counted: $(($(stat_of requests) - before))" [ "$(stat_of requests)" = "$before" ]
plan $n # at the end: how many rounds there are is known then
