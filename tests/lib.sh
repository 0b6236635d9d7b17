# What the test scripts share. Each script sets its plan first:  plan 5
# PROGRAM and MOCK come from tests/run.
: "${PROGRAM:=$PWD/build/dspy-mpi}" "${MOCK:=$PWD/build/mock-lm}"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp print_suppressions=0" ASAN_OPTIONS="detect_leaks=${LEAKS:-1}"
DIR=$(mktemp -d "${TMPDIR:-/tmp}/dspy-mpi-test.XXXXXX")
MOCKS=""
n=0
cleanup() {
	for pid in $MOCKS; do kill "$pid" 2>/dev/null || :; done # some have ended; callers may run with set -e
	rm -rf "$DIR"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

plan() { echo "1..$1"; }
ok() {
	n=$((n + 1))
	echo "ok $n - $1"
}
not_ok() { # what, and lines of diagnostics from files
	n=$((n + 1))
	echo "not ok $n - $1"
	shift
	for f in "$@"; do [ -f "$f" ] && tail -8 "$f" | cut -c1-400 | sed 's/^/# /'; done
}
skip() {
	n=$((n + 1))
	echo "ok $n - # SKIP $1"
}
# check NAME CONDITION...: ok if the command succeeds
check() {
	what=$1
	shift
	if "$@"; then ok "$what"; else not_ok "$what" "$DIR/out" "$DIR/err"; fi
}
# run CODE COMMAND...: runs with a time limit into $DIR/out and $DIR/err, true if it exits with CODE
run() {
	want=$1
	shift
	timeout -k 5 "${SECONDS_LIMIT:-120}" "$@" >"$DIR/out" 2>"$DIR/err"
	rc=$?
	[ "$rc" = "$want" ] || {
		echo "exit $rc, not $want" >>"$DIR/err"
		return 1
	}
}
now_ms() { echo $(($(date +%s%N) / 1000000)); }
# run_timed CODE COMMAND...: run, and its milliseconds in $TOOK
run_timed() {
	began=$(now_ms)
	run "$@"
	timed=$?
	TOOK=$(($(now_ms) - began))
	return $timed
}
ranks() { # ranks N COMMAND...: the same under mpirun
	ranks_n=$1
	shift
	mpirun --oversubscribe -n "$ranks_n" "$@"
}
said() { grep -qF -- "$1" "$DIR/err"; }
# start_mock OPTIONS...: sets MOCK_PID and MOCK_URL
start_mock() {
	rm -f "$DIR/port"
	"$MOCK" --port-file "$DIR/port" "$@" >/dev/null 2>"$DIR/mock.err" &
	MOCK_PID=$!
	MOCKS="$MOCKS $MOCK_PID"
	for _ in $(seq 200); do
		[ -s "$DIR/port" ] && break
		sleep 0.05
	done
	MOCK_URL="http://127.0.0.1:$(cat "$DIR/port")/v1"
}
stop_mock() {
	kill "$MOCK_PID" 2>/dev/null
	wait "$MOCK_PID" 2>/dev/null
}
host_of() { # host_of URL: HOST:PORT
	host=${1#*://}
	echo "${host%%/*}"
}
get() { "$MOCK" --fetch "$(host_of "$MOCK_URL")" "$1"; }           # get URL-PATH of the mock server
post() { "$MOCK" --post "$(host_of "$MOCK_URL")" "$1" ${2:+"$2"}; } # post URL-PATH [FILE]
stat_of() { get /stats | "$MOCK" --json-get "$1"; }
json() { "$MOCK" --json-get "$1" <"$2"; } # json PATH FILE

# killed_and_resumed ROUND CALLS: the compile of $DIR/job.json, killed three times and resumed at other rank
# counts, ends with the program of $DIR/whole, and pays again at most what was in flight: 32 calls a kill.
# It is killed when so many further calls were made: the moment does not depend on the machine.
killed_and_resumed() {
	round=$1 calls=$2 kills=0 hits=0 before=$(stat_of requests)
	rm -rf "$DIR/o"
	while :; do
		ranks=$(((round + kills) % 4 + 1))
		start="mpirun --oversubscribe -n $ranks"
		[ $ranks = 1 ] && start=""
		# shellcheck disable=SC2086
		setsid $start "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o" >"$DIR/out" 2>"$DIR/err" &
		pid=$!
		[ $kills -lt 3 ] || break
		until_calls=$(($(stat_of requests) + calls * (8 + (round * 5 + kills * 7) % 17) / 100))
		for _ in $(seq 400); do
			[ "$(stat_of requests)" -lt $until_calls ] && kill -0 $pid 2>/dev/null || break
			sleep 0.02
		done
		pkill -KILL -s $pid # mpirun and its ranks, at once
		wait $pid 2>/dev/null
		[ $? = 137 ] && hits=$((hits + 1))
		while pgrep -s $pid >/dev/null; do sleep 0.02; done
		kills=$((kills + 1))
	done
	wait $pid
	rc=$?
	spent=$(($(stat_of requests) - before))
	if [ $rc = 0 ] && [ $hits -gt 0 ] && cmp -s "$DIR/o/program.json" "$DIR/whole/program.json" && [ $spent -le $((calls + 3 * 32)) ]; then
		ok "killed $hits times in mid-run, resumed at other rank counts: the same program, $spent calls for $calls"
	else
		not_ok "killed $hits times: exit $rc, $spent calls for $calls" "$DIR/err"
	fi
}
