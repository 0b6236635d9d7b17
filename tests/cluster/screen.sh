# What stands on a terminal: progress that shares no line with a message and fits, the last line only when asked for,
# and what the commands say without one.
LEAKS=0 # what Open MPI leaves at its end is not ours
. tests/lib.sh
plan 24
start_mock --rule planted --seed 3 --latency 40
"$MOCK" --make-data 60 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 40 3 1000 >"$DIR/val.jsonl"
PTY=$PWD/tests/pty_run.py
cd "$DIR" || exit 70
cat >job.json <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "BootstrapRS", "num_candidate_programs": 2},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 8}}
EOF
on_terminal() { # on_terminal CODE COLUMNS COMMAND...: what it shows there goes to $DIR/raw
	code=$1 columns=$2
	shift 2
	run "$code" python3 "$PTY" "$columns" raw "$@"
}
has() { grep -aqE -- "$1" raw; }
progress='[a-z]+ [0-9,]+ of [0-9,]+ runs, best [0-9.]+ %'
for columns in 100 40; do
	check "compile on a terminal of $columns columns: no line is shared, none too long" on_terminal 0 $columns "$PROGRAM" compile job.json --fresh
	check "it says how far it is: $(grep -aoE "$progress" raw | tail -1)" has "$progress"
done
check "a message came while progress was shown" has 'the start program scores'
check "the table, and no JSON" sh -c "grep -aq '^valset' raw && ! grep -aq '{\"status\"' raw"
check "with --json the last line too" sh -c "python3 '$PTY' 80 raw '$PROGRAM' compile job.json --fresh --json && tail -1 raw | grep -aq '^{\"status\": \"done\"'"
check "a finished run says its scores" sh -c "python3 '$PTY' 80 raw '$PROGRAM' compile job.json && grep -aq 'is finished' raw && grep -aqE '^valset: [0-9.]+ % at the start, [0-9.]+ % compiled' raw && ! grep -aq '{\"status\"' raw"
check "where stdout is none, the last line as ever" sh -c "'$PROGRAM' compile job.json 2>/dev/null | grep -q '^{\"status\": \"done\"'"
check "stderr to a file, stdout a terminal: no JSON" sh -c "python3 '$PTY' 80 raw sh -c '\"$PROGRAM\" compile job.json --fresh 2>log' && [ ! -s raw ] && grep -q '^valset' log"
check "launch on a terminal: no line is shared, none too long" on_terminal 0 60 "$PROGRAM" launch -n 3 compile job.json --fresh
check "its progress: $(grep -aoE "$progress" raw | tail -1)" has "$progress"
check "and no JSON" sh -c "grep -aq '^valset' raw && ! grep -aq '{\"status\"' raw"
check "launch into a pipe: the last line" sh -c "'$PROGRAM' launch -n 2 compile job.json 2>/dev/null | grep -q '^{\"status\": \"done\"'"
check "mpirun into a pipe, from a terminal: the last line" sh -c "python3 '$PTY' 80 raw sh -c 'mpirun --oversubscribe -n 2 \"$PROGRAM\" compile job.json 2>/dev/null | cat >line' && grep -q '^{\"status\": \"done\"' line"
for words in "eval job.json" "plan job.json"; do
	check "$words on a terminal: no JSON" sh -c "python3 '$PTY' 100 raw '$PROGRAM' $words && [ -s raw ] && ! grep -aq '{\"status\"' raw"
	check "$words into a pipe: the last line" sh -c "'$PROGRAM' $words 2>/dev/null | grep -q '^{\"status\": \"done\"'"
done
check "a dumb terminal gets lines and no codes" sh -c "TERM=dumb python3 '$PTY' 80 raw '$PROGRAM' eval job.json && ! grep -aq $(printf '\\033') raw && grep -aq '^valset' raw"
check "so does one that TERM says nothing of" sh -c "env -u TERM python3 '$PTY' 80 raw '$PROGRAM' eval job.json && ! grep -aq $(printf '\\033') raw && grep -aq '^valset' raw"
check "from launch too" sh -c "TERM=dumb python3 '$PTY' 80 raw '$PROGRAM' launch -n 2 eval job.json && ! grep -aq $(printf '\\033') raw && grep -aq '^valset' raw"
check "answers and progress share no line" on_terminal 0 80 "$PROGRAM" run job/program.json --job=job.json --inputs val.jsonl
check "and all answers are there" [ "$(grep -ao "{\"answer\": " raw | wc -l)" = 40 ]
