# The key of a run is searched for in everything the run leaves and shows: OUT, cache, logs, what it prints,
# cores, and /proc/*/cmdline and environ of what it starts, while it runs. The server knows the key, refuses
# some calls, and its errors say the key; the metric is a program that looks around.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan 13
KEY=hidden-Zq7-0123456789abcdef
copy_program "$DIR/dspy-mpi" # a name of its own, so that its processes are found
start_mock --rule planted --seed 3 --latency 50 --key "$KEY" --fault 500=0.05
"$MOCK" --make-data 40 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 40 3 1000 >"$DIR/val.jsonl"
printf '%s\n' "$KEY" >"$DIR/key"
cat >"$DIR/metric.sh" <<'END'
{ env; set; cat /proc/self/environ /proc/$$/environ /proc/$$/cmdline /proc/$PPID/cmdline; } >>"$1" 2>/dev/null
while read -r line; do echo '{"score": 1}'; done
END
ulimit -c unlimited 2>/dev/null
# The key is never an argument of ours: it would be found there.
leaked() { # files that hold the key, but for the key file itself
	grep -rlaFf "$DIR/key" "$DIR" 2>/dev/null | grep -v -e "$DIR/key$" -e "$DIR/echo.jsonl$"
}
# looked CODE COMMAND...: runs it, and looks at the command lines of all processes and at the environment of
# those that are not the program itself (ranks have the user's) while it runs
looked() {
	want=$1
	shift
	: >"$DIR/seen"
	"$@" >"$DIR/out" 2>"$DIR/err" &
	pid=$!
	looks=0
	while kill -0 $pid 2>/dev/null; do
		for p in /proc/[0-9]*; do
			[ "$p" != "/proc/$MOCK_PID" ] && [ "$p" != "/proc/$$" ] || continue
			{ tr "\0" " " <"$p/cmdline"; } 2>/dev/null | grep -aFf "$DIR/key" >>"$DIR/seen" && echo "$p: command line" >>"$DIR/where"
			case $({ tr "\0" " " <"$p/cmdline"; } 2>/dev/null) in *metric.sh*)
				{ tr "\0" "\n" <"$p/environ"; } 2>/dev/null | grep -aFf "$DIR/key" >>"$DIR/seen" && echo "$p: environment" >>"$DIR/where" ;;
			esac
		done
		looks=$((looks + 1))
		sleep 0.05
	done
	wait $pid
	rc=$?
	cat "$DIR/where" >>"$DIR/err" 2>/dev/null
	[ $rc = "$want" ] && [ ! -s "$DIR/seen" ] && [ $looks -gt 0 ]
}
job() { # job LM
	cat >"$DIR/job.json" <<END
{"program": {"chain_of_thought": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl",
 "metric": {"command": ["sh", "$DIR/metric.sh", "$DIR/children"]},
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 2}, "out": "o", "cache": "o-answers",
 "lm": {"model": "hosted_vllm/x", "api_base": "$MOCK_URL", "concurrency": 16, $1}}
END
}
clean() {
	files=$(leaked)
	check "$1: not in a file of it ${files:+($files)}" [ -z "$files" ]
	rm -rf "$DIR"/o* "$DIR/children"
}
export TEST_LM_KEY="$KEY"
job '"api_key_env": "TEST_LM_KEY"'
check "a key in the environment, one process" looked 0 "$DIR/dspy-mpi" compile "$DIR/job.json"
check "its cache holds answers" [ "$(cat "$DIR"/o-answers/* | wc -c)" -gt 10000 ]
clean "environment"
# a core would hold the key: there is none, whatever the user's limit
(cd "$DIR" && "$DIR/dspy-mpi" compile "$DIR/job.json" >"$DIR/out" 2>"$DIR/err" &
pid=$!
until [ -s "$DIR/o/journal" ]; do sleep 0.02; done
grep '^Max core file size' /proc/$pid/limits >"$DIR/limits"
kill -ABRT $pid
wait $pid) 2>/dev/null
check "no core: $(cat "$DIR/limits")" sh -c "grep -q 'size  *[01] ' $DIR/limits && ! ls $DIR/core* 2>/dev/null"
clean "aborted"
check "under mpirun" looked 0 mpirun --oversubscribe -n 3 "$DIR/dspy-mpi" compile "$DIR/job.json"
clean "mpirun"
check "under launch" looked 0 "$DIR/dspy-mpi" launch -n 3 compile "$DIR/job.json"
clean "launch"
unset TEST_LM_KEY
job "\"api_key_file\": \"$DIR/key\""
check "a key in a file, three ranks" looked 0 mpirun --oversubscribe -n 3 "$DIR/dspy-mpi" compile "$DIR/job.json"
clean "file"
# a server that says the key in its errors
printf '{"match": "", "status": 400, "content": "bad request with Bearer %s"}\n' "$KEY" >"$DIR/echo.jsonl"
stop_mock
start_mock --rule "script:$DIR/echo.jsonl" --key "$KEY"
job "\"api_key_file\": \"$DIR/key\""
"$DIR/dspy-mpi" compile "$DIR/job.json" >"$DIR/out" 2>"$DIR/err"
rc=$?
check "a server whose errors say the key: exit $rc" [ $rc = 69 -o $rc = 65 ]
clean "echo"
