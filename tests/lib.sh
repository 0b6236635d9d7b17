# What the test scripts share. Each script sets its plan first:  plan 5
# PROGRAM and MOCK come from tests/run.
: "${PROGRAM:=$PWD/build/dspy-mpi}" "${MOCK:=$PWD/build/mock-lm}"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp print_suppressions=0" ASAN_OPTIONS="detect_leaks=${LEAKS:-1}"
DIR=$(mktemp -d "${TMPDIR:-/tmp}/dspy-mpi-test.XXXXXX")
export PRTE_MCA_prte_tmpdir_base="$DIR" # where a killed mpirun of Open MPI 5 leaves a folder, a later one of its pid fails
export TERM="${TERM:-xterm}" # a machine that tests may have none
MOCKS=""
n=0
cleanup() {
	children=" $(pgrep -P $$ | tr '\n' ' ')" # some have ended, and their numbers may be other processes' by now
	for mock in $MOCKS; do case $children in *" $mock "*) kill "$mock" 2>/dev/null || : ;; esac; done # callers may run with set -e
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
skip_all() { for _ in $(seq "$1"); do skip "$2"; done; } # skip_all HOW-MANY WHY
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
	timeout -k 5 "${SECONDS_LIMIT:-400}" "$@" >"$DIR/out" 2>"$DIR/err"
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
# copy_program FILE: the program, with the tables for MPIs that one of MPI=loaded needs beside it
copy_program() {
	cp "$PROGRAM" "$1"
	[ ! -d "${PROGRAM%/*}/lib/dspy-mpi" ] || cp -r "${PROGRAM%/*}/lib" "${1%/*}/"
}
start_mock() {
	rm -f "$DIR/port"
	# it ends with this script; records.sh alone takes longer than the ten minutes that it stays otherwise
	"$MOCK" --port-file "$DIR/port" --max-seconds 86400 "$@" >/dev/null 2>"$DIR/mock.err" &
	MOCK_PID=$!
	MOCKS="$MOCKS $MOCK_PID"
	for _ in $(seq 200); do
		[ -s "$DIR/port" ] && break
		sleep 0.05
	done
	MOCK_URL="http://127.0.0.1:$(cat "$DIR/port")/v1"
}
# Until opened, what asks SLOW_URL waits half a second longer for each answer: no run ends before the test has done to
# it what it wants to do, on a machine under load too.
shut() { # shut [FILE]: what opens it, of one's own for each run that is shut at the same time
	GATE=${1:-$DIR/opened}
	rm -f "$GATE"
	SLOW_URL=${MOCK_URL%/v1}/until$GATE/v1
}
opened() { : >"$GATE"; }
# under_way PID OUT [BYTES]: waits until the journal in OUT has more than so many, 3,000; PID is the run's
under_way() {
	until [ -f "$2/journal" ] && [ "$(wc -c <"$2/journal")" -gt "${3:-3000}" ]; do
		kill -0 "$1" 2>/dev/null || return 1
		sleep 0.02
	done
}
stop_mock() {
	kill "$MOCK_PID" 2>/dev/null
	wait "$MOCK_PID" 2>/dev/null
	still=""
	for mock in $MOCKS; do [ "$mock" = "$MOCK_PID" ] || still="$still $mock"; done
	MOCKS=$still
}
host_of() { # host_of URL: HOST:PORT
	host=${1#*://}
	echo "${host%%/*}"
}
get() { "$MOCK" --fetch "$(host_of "$MOCK_URL")" "$1"; }           # get URL-PATH of the mock server
post() { "$MOCK" --post "$(host_of "$MOCK_URL")" "$1" ${2:+"$2"}; } # post URL-PATH [FILE]
stat_of() { get /stats | "$MOCK" --json-get "$1"; }
json() { "$MOCK" --json-get "$1" <"$2"; } # json PATH FILE

# known JOURNAL: tells the server (--mark yes) whose answers a journal holds; asked again they count as
# known_again. Sets $KNOWN, how many, and $MORE, how many of them were asked for again already. The server has
# to know the undisturbed run (POST /whole): cells may ask the same.
known() {
	"$MOCK" --list-marks "$1" >"$DIR/marks" 2>/dev/null || : >"$DIR/marks"
	KNOWN=$(wc -l <"$DIR/marks")
	post /known "$DIR/marks" >"$DIR/told"
	MORE=$(json asked_more "$DIR/told")
	[ "$(json asked "$DIR/told")" = "$KNOWN" ]
}

# killed_and_resumed ROUND CALLS: the compile of $DIR/job.json, killed three times and resumed at other rank
# counts, ends with the program of $DIR/whole. No call that was journaled is made again, each counted by itself
# at the server (--mark yes); so a kill costs at most the calls of the examples that were out: two steps of 16, of a
# quarter as many that are sent ahead, and of one more a rank. However slow a rank is, no more are out before its
# results are journaled. It is killed when so many further calls were made: the moment does not depend on the
# machine. Kills that came while there was work left are added to $HITS.
killed_and_resumed() {
	round=$1 calls=$2 kills=0 hits=0 before=0 had=0 most=0 problem=""
	rm -rf "$DIR/o"
	post /reset >/dev/null
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
		rc=$?
		while pgrep -s $pid >/dev/null; do sleep 0.02; done
		while [ "$(stat_of in_flight)" -gt 0 ]; do sleep 0.02; done
		known "$DIR/o/journal" || problem="$problem, the journal holds calls that nobody made"
		[ $rc = 137 ] && [ "$KNOWN" -lt "$calls" ] && hits=$((hits + 1))
		spent=$(stat_of requests)
		lost=$((spent - before - (KNOWN - had)))
		[ $lost -gt $most ] && most=$lost
		before=$spent had=$KNOWN
		kills=$((kills + 1))
	done
	wait $pid
	rc=$?
	HITS=$((${HITS:-0} + hits))
	spent=$(stat_of requests) again=$(stat_of known_again)
	[ $rc = 0 ] || problem="$problem, exit $rc"
	[ $hits -gt 0 ] || problem="$problem, no kill came in time"
	cmp -s "$DIR/o/program.json" "$DIR/whole/program.json" || problem="$problem, another program"
	[ "$again" = 0 ] || problem="$problem, $again journaled calls were made again"
	[ $((spent - before)) = $((calls - had)) ] || problem="$problem, $((spent - before)) calls at the end, $had of $calls were known"
	[ $most -le $((2 * (16 + 16 / 4 + 4))) ] || problem="$problem, a kill cost $most calls"
	told=$(tail -1 "$DIR/out" | "$MOCK" --json-get calls)
	[ "$told" = "$calls" ] || problem="$problem, $told calls are told"
	if [ -z "$problem" ]; then
		ok "killed $hits times in mid-run, resumed at other rank counts: the same program, 0 of $had journaled calls again, $((spent - calls)) lost of $calls, at most $most a kill"
	else
		not_ok "killed $hits times$problem" "$DIR/err"
	fi
}
# compile_at RANKS OUT ARGUMENT...: $DIR/job.json, by one process or by so many ranks
compile_at() {
	start=""
	[ "$1" -gt 1 ] && start="mpirun --oversubscribe -n $1"
	out=$2
	shift 2
	# shellcheck disable=SC2086
	run 0 $start "$PROGRAM" compile "$DIR/job.json" --out="$out" "$@"
}
# same_at_ranks CODE ARGUMENT...: sets same, to yes or to what is not: one process ended with CODE and left $DIR/w, which
# is taken away; at each of $RANKS there are the same program and the same candidates
same_at_ranks() {
	same=yes
	[ "$1" = 0 ] || same="no: exit"
	shift
	for ranks in $RANKS; do
		compile_at "$ranks" "$DIR/r" "$@" || same="no: exit with $ranks ranks"
		cmp -s "$DIR/w/program.json" "$DIR/r/program.json" || same="no: another program with $ranks ranks"
		cmp -s "$DIR/w/trials.csv" "$DIR/r/trials.csv" || same="no: other candidates with $ranks ranks"
		rm -rf "$DIR/r"
	done
	rm -rf "$DIR/w"
}
# side_by_side N RUN JUDGE ARGUMENT...: RUN for each argument in the background, N at once; then JUDGE for each, in order
side_by_side() {
	at_once=$1 run=$2 judge=$3
	shift 3
	while [ $# -gt 0 ]; do
		pids="" batch=""
		for _ in $(seq "$at_once"); do
			[ $# -gt 0 ] || break
			"$run" "$1" &
			pids="$pids $!" batch="$batch $1"
			shift
		done
		for pid in $pids; do wait "$pid"; done
		for argument in $batch; do "$judge" "$argument"; done
	done
}
# rounds_of_kills CALLS: ROUNDS rounds, or until so many kills as MIN_HITS have hit; one result a round
rounds_of_kills() {
	round=0
	while [ $round -lt "$ROUNDS" ] || [ ${HITS:-0} -lt "${MIN_HITS:-0}" ]; do
		killed_and_resumed $((round += 1)) "$1"
	done
	echo "# $HITS kills in mid-run, in $round rounds"
}
