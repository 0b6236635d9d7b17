# Metrics that behave badly (tests/metric_kid.py; make unit FILTER='metric_kids/*' has all kinds) in whole runs: the
# right score, or the run ends and says why; nothing that they started is left, however the run ends.
LEAKS=0 # Open MPI's own
. tests/lib.sh
plan 17
if ! command -v python3 >/dev/null; then
	skip_all 17 "needs python3"
	exit 0
fi
PYTHON=$(python3 tests/metric_kid.py --table | sed -n 1p) KID=$PWD/tests/metric_kid.py
for k in 0 1 2 3 4 5; do echo "{\"k\": \"$k\", \"answer\": \"a\"}"; done >"$DIR/rows.jsonl"
sed -n 1p "$DIR/rows.jsonl" >"$DIR/row.jsonl"
job() { # job KIND [TIMEOUT]: a job of that name
	cat >"$DIR/$1.json" <<END
{"program": {"predict": "k -> answer"}, "trainset": "rows.jsonl", "valset": "rows.jsonl", "lm": "embedded/stand-in",
 "optimizer": "labeled_few_shot", "metric": {"command": ["$PYTHON", "-IS", "$KID", "$1"], "timeout": ${2:-30}}}
END
}
marked() { grep -las "KID_OF_TEST=$DIR/$1\$" -z /proc/[0-9]*/environ; } # what runs of a kind left
with_mark() { # with_mark KIND COMMAND...
	mark=$1
	shift
	env KID_OF_TEST="$DIR/$mark" KID_FOLDER="$DIR/$mark.d" DM_METRIC_START_SECONDS=20 timeout -k 5 150 "$@" >"$DIR/$mark.out" 2>"$DIR/$mark.err"
	echo $? >"$DIR/$mark.code"
}
is_gone() { # is_gone KIND: within the 10 s that a busy machine may take
	for _ in $(seq 200); do
		marked "$1" >"$DIR/left"
		[ -s "$DIR/left" ] || return 0
		sleep 0.05
	done
	return 1
}

# Scores in whole runs: the mean of what each example is to get.
evaluate() {
	job "$1"
	with_mark "$1" "$PROGRAM" eval "$DIR/$1.json" --split=valset
}
scored() { # 1, .5, .25, .125, 0, .75
	what=$(json valset.score "$DIR/$1.out") failed=$(json valset.failed "$DIR/$1.out")
	if [ "$(printf %.4f "$what")" = 0.4375 ] && [ "$failed" = 0 ] && is_gone "$1"; then ok "$1: the right scores, and nothing is left"; else not_ok "$1: $what, $failed failed" "$DIR/$1.err" "$DIR/left"; fi
}

# Those that give no answer: said at the first line, and the end after three. Python has to start within the limit.
LIMIT=6
silence() {
	job "$1" $LIMIT
	with_mark "$1" "$PROGRAM" eval "$DIR/$1.json" --split=valset
}
told() {
	case $1 in number) line='it wrote `1`, which is not an answer' ;; empty_object) line='it wrote `{}`, which is not an answer' ;; *) line='' ;; esac
	if [ "$(cat "$DIR/$1.code")" = 65 ] && grep -qF "no answer to 3 examples in a row: the metric did not answer within $LIMIT s" "$DIR/$1.err" && grep -qF -- "$line" "$DIR/$1.err" && is_gone "$1"; then
		ok "$1: $(tail -1 "$DIR/$1.err" | cut -c1-150)"
	else not_ok "$1: exit $(cat "$DIR/$1.code")" "$DIR/$1.err"; fi
}
checked() {
	job python_object $LIMIT
	with_mark python_object "$PROGRAM" check "$DIR/python_object.json"
}
check_told() {
	is="it wrote \`{'score': 1}\`, which is not an answer; an answer is a line such as {\"id\": ..., \"score\": 0.5}"
	if [ "$(cat "$DIR/python_object.code")" = 65 ] && grep -qF "$is" "$DIR/python_object.err"; then ok "check says it"; else not_ok "check says it" "$DIR/python_object.err"; fi
}

# However a run ends: forty daemons of a metric, in sessions of their own, that ignore TERM.
victims() { # victims HOW: the processes to be killed, of those that are marked
	marked "$1" | while IFS=/ read -r _ _ pid _; do
		case "$1:$(tr '\0' ' ' <"/proc/$pid/cmdline")" in
		alone*:"$PROGRAM eval "* | ranks*:"$PROGRAM eval "* | mpirun*:"mpirun "* | mpirun*:*"prterun "* | launch*:"$PROGRAM launch "*) echo "$pid" ;;
		esac
	done 2>/dev/null
}
ended_by() { # ended_by WHO_SIGNAL
	mkdir "$DIR/$1.d"
	case $1 in
	alone*) set -- "$1" "$PROGRAM" ;;
	launch*) set -- "$1" "$PROGRAM" launch -n 2 ;;
	*) set -- "$1" mpirun --oversubscribe -n 2 "$PROGRAM" ;;
	esac
	with_mark "$@" eval "$DIR/daemons_and_hangs.json" --split=testset --testset="$DIR/row.jsonl" &
	started=$!
	for _ in $(seq 600); do
		[ -z "$(ls "$DIR/$1.d")" ] && kill -0 $started 2>/dev/null || break
		sleep 0.05
	done
	marked "$1" | wc -l >"$DIR/$1.were"
	victims "$1" >"$DIR/$1.killed"
	kill "-${1#*_}" $(cat "$DIR/$1.killed")
	wait $started
}
nothing_left() {
	were=$(cat "$DIR/$1.were") killed=$(wc -w <"$DIR/$1.killed") code=$(cat "$DIR/$1.code")
	if [ "$were" -ge 42 ] && [ "$killed" -gt 0 ] && [ "$code" != 0 ] && is_gone "$1"; then
		ok "$1 to $killed of $were processes, exit $code: nothing is left"
	else not_ok "$1 to $killed of $were processes, exit $code" "$DIR/left" "$DIR/$1.err"; fi
}
job daemons_and_hangs 60 # longer than any machine takes to kill it

start() {
	case $1 in
	*_TERM | *_KILL) ended_by "$1" ;;
	number | empty_object | nothing | never_reads) silence "$1" ;;
	python_object) checked ;;
	*) evaluate "$1" ;;
	esac
}
judge() {
	case $1 in
	*_TERM | *_KILL) nothing_left "$1" ;;
	number | empty_object | nothing | never_reads) told "$1" ;;
	python_object) check_told ;;
	*) scored "$1" ;;
	esac
}
side_by_side 8 start judge alone_TERM number empty_object nothing never_reads python_object twice_with_a_pause one_twice_with_a_pause \
	alone_KILL ranks_KILL mpirun_KILL launch_KILL twice twice_from_a_thread helpers daemon many_daemons
