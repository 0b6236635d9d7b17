# The launcher's safety net, and its own end. Each of its time-outs fires: mpirun stopped and rank 0 killed, ranks silent,
# a start that never begins or gets stuck, a result that mpirun sits on; with the wall clock set forward and back in
# mid-run. However launch, mpirun or the terminal ends, the ranks end too, nothing stays in the temporary folder
# or in shared memory, and the same command resumes to the same program. All at the same time, for they wait.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
SCENES="step_forward step_back stopped_and_killed silent all_silent sat_on launcher_paused mpirun_killed
launcher_killed launcher_and_mpirun all_killed hangup nohup terminal timed_out second_term never_begins deaf stuck early early_killed missing few_files background tmpdir"
plan $(($(echo "${ONLY:-$SCENES}" | wc -w) + 2)) # ONLY="one or another"
start_mock --rule planted --seed 9 --latency 100
"$MOCK" --make-data 30 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 20 9 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 6},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16}}
END
run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole"
check "the undisturbed run, $(stat_of requests) calls" [ "$rc" = 0 ]
${CC:-cc} -shared -fPIC -O1 -o "$DIR/wall_clock.so" tests/faults/wall_clock.c 2>"$DIR/err"
check "a wall clock that can be set" [ -f "$DIR/wall_clock.so" ]

# ---- what a scene uses; D: its folder, of which everything that it starts has the path among its words ----

size() { [ -f "$D/o/journal" ] && wc -c <"$D/o/journal" || echo 0; }
launch() { # launch COMMAND...: in the background, of its own session
	grown=$(($(size) + 3000))
	TMPDIR="$D/tmp" setsid "$@" >"$D/out" 2>"$D/err" &
	pid=$!
}
compile() {
	shut "$D/open"
	launch "$PROGRAM" launch -n 3 "$@" compile "$DIR/job.json" --out="$D/o" --lm.concurrency=${flight:-2} --lm.api_base="$SLOW_URL"
}
works() { # waits until it works, and looks at who there is
	until [ "$(size)" -gt $grown ]; do
		ours >/dev/null || ! ended || {
			echo "it ended before it worked: $(cat "$D"/err* | tail -2)"
			return 1
		}
		sleep 0.05
	done
	mpirun=$(pgrep -f -o "^(mpirun|prterun) .*--out=$D/o")
	job=$(tr "\0" "\n" <"/proc/$(pgrep -P "$mpirun" | head -1)/environ" | sed -n 's/^PMIX_NAMESPACE=//p')
	case $job in *[!0-9]* | "") ;; *) printf '.%x.\n' "$job" >>"$D/jobs" ;; esac # is in the names of its shared memory
}
ours() { pgrep -f -- "--out=$D/o"; }
rank() { # its process
	for p in $(pgrep -P "$mpirun"); do
		tr "\0" "\n" <"/proc/$p/environ" 2>/dev/null | grep -qx "OMPI_COMM_WORLD_RANK=$1" && echo "$p" && return
	done
}
ends() { # within so many s: all processes of the run
	for _ in $(seq $(($1 * 10))); do
		ours >/dev/null || return 0
		sleep 0.1
	done
	echo "after $1 s there are: $(ps -o pid=,stat=,args= -p "$(ours | paste -sd,)" | cut -c1-60 | paste -sd,)"
	return 1
}
ended() { [ ! -e "/proc/$pid" ] || grep -q ') Z' "/proc/$pid/stat" 2>/dev/null; } # the shell may have seen it
code() { # the exit code is, when the answers come at once
	opened
	slowly "$1"
}
slowly() {
	for _ in $(seq 600); do # it may never end
		ended && break
		sleep 0.1
	done
	ended || {
		echo "it has not ended for 60 s"
		return 1
	}
	wait "$pid"
	rc=$?
	[ $rc = "$1" ] || {
		echo "exit $rc, not $1"
		return 1
	}
}
attempts() { # and each for this reason
	[ "$(grep -c 'attempt [0-9]' "$D/err") $(grep -c "$2.*attempt [0-9]" "$D/err")" = "$1 $1" ] || {
		echo "not $1 further attempts:" "$(grep 'attempt [0-9]' "$D/err")"
		return 1
	}
}
says() { grep -qF -- "$1" "$D/err" || { echo "\"$1\" is not said" && return 1; }; }
clean() {
	left=$(ls -A "$D/tmp" | paste -sd' ')
	[ -f "$D/jobs" ] && left="$left $(ls /dev/shm | grep -F -f "$D/jobs")"
	[ -z "${left# }" ] || {
		echo "there is litter:" $left
		return 1
	}
}
stopped() { [ "$(json status "$D/o/status.json")" = stopped ] || { echo "not stopped in order" && return 1; }; }
whole() { # the same command, with more calls in flight, ends as the undisturbed run did
	opened
	TMPDIR="$D/tmp" timeout -k 5 100 "$PROGRAM" launch -n 2 compile "$DIR/job.json" --out="$D/o" >"$D/out.2" 2>"$D/err.2" || {
		echo "resumed: exit $?" "$(tail -2 "$D/err.2")"
		return 1
	}
	cmp "$D/o/program.json" "$DIR/whole/program.json"
}
same() { cmp "$D/o/program.json" "$DIR/whole/program.json"; }
preloaded() { launch env LD_PRELOAD="$DIR/wall_clock.so" ASAN_OPTIONS="$ASAN_OPTIONS:verify_asan_link_order=0" "$@"; }
set_clock() { echo "$1" >"$D/shift"; }
with_clock() { # with_clock SHIFT OPTION...
	set_clock "$1"
	shift
	shut "$D/open"
	preloaded WALL_SHIFT="$D/shift" "$PROGRAM" launch -n 3 "$@" compile "$DIR/job.json" --out="$D/o" --lm.concurrency=2 --lm.api_base="$SLOW_URL"
}
# fake WORDS...: an mpirun of these lines
fake() {
	mkdir -p "$D/bin"
	printf '%s\n' '#!/bin/sh' "$@" >"$D/bin/mpirun"
	chmod +x "$D/bin/mpirun"
	launch env PATH="$D/bin:$PATH" DM_BEGIN_SECONDS=3 "$PROGRAM" launch -n 3 --restarts 0 compile "$DIR/job.json" --out="$D/o"
}
counter() { awk '{ print $5 }' "$D/o/journal.lock"; }
counter_moves() {
	was=$(counter)
	for _ in $(seq 80); do
		[ "$(counter)" != "$was" ] && return 0
		sleep 0.1
	done
	echo "the lock's counter stands still"
	return 1
}

# ---- the scenes ----

# A step ends nothing, and the time-outs fire after it as before it.
step_forward() {
	with_clock 0
	works && set_clock 86400 && counter_moves && code 0 && attempts 0 "" && same && ends 1 && clean
}
step_back() {
	with_clock 86400
	works && counter_moves && set_clock -86400 && counter_moves && code 0 && attempts 0 "" && same && ends 1 && clean
}
stopped_and_killed() {
	with_clock 0
	works && kill -STOP "$mpirun" && kill -9 "$(rank 0)" && set_clock -86400 || return
	code 0 && attempts 1 "nothing was heard from rank 0" && same && ends 1 && clean
}
silent() { # the rank and its watchdog
	with_clock 86400
	works || return
	r=$(rank 0)
	kill -STOP "$(pgrep -P "$r")" "$r" && set_clock 172800
	code 0 && attempts 1 "nothing was heard from rank 0" && same && ends 1 && clean
}
all_silent() {
	compile
	works || return
	for r in $(pgrep -P "$mpirun"); do kill -STOP $(pgrep -P "$r") "$r"; done
	kill -STOP "$mpirun"
	code 0 && attempts 1 "nothing was heard from rank 0" && same && ends 1 && clean
}
sat_on() { # the result is there, but mpirun does not end
	compile
	works && kill -STOP "$mpirun" && code 0 && attempts 0 "" && same && ends 1 && clean
}
launcher_paused() { # for longer than silence may last
	compile
	works && kill -STOP $pid && sleep 13 && kill -CONT $pid && code 0 && attempts 0 "" && same && ends 1 && clean
}
mpirun_killed() {
	compile
	works && kill -9 "$mpirun" && code 0 && attempts 1 "without a result" && same && ends 1 && clean
}
launcher_killed() {
	compile
	works || return
	until grep -q 'worth it' "$D/err"; do sleep 0.05; done # for the next 15 s mpirun has nothing to say that could fail
	kill -9 $pid && ends 12 && clean && whole && clean
}
launcher_and_mpirun() { # the launcher killed while mpirun is stopped and cannot hear of it; then both killed
	compile
	works && kill -STOP "$mpirun" && kill -9 $pid && ends 15 && clean || return
	compile
	works && kill -9 $pid "$mpirun" && ends 12 && clean && whole && clean
}
all_killed() { # with the guard: the next start cleans up
	compile
	works || return
	kill -9 $(ours)
	ends 2 && [ -n "$(ls -A "$D/tmp")" ] && whole && clean
}
hangup() {
	compile
	works && kill -HUP $pid && code 75 && stopped && ends 1 && clean && whole
}
nohup() {
	shut "$D/open"
	preloaded CATCH_HANGUP=1 nohup "$PROGRAM" launch -n 3 compile "$DIR/job.json" --out="$D/o" --lm.concurrency=2 --lm.api_base="$SLOW_URL"
	works && kill -HUP $pid && code 0 && attempts 0 "" && same && ends 1 && clean
}
terminal() { # is closed: its other end is gone
	command -v script >/dev/null || return 77
	shut "$D/open"
	launch script -qc "$PROGRAM launch -n 3 compile $DIR/job.json --out=$D/o --lm.concurrency=2 --lm.api_base=$SLOW_URL" /dev/null
	works && kill -9 $pid && ends 30 && stopped && clean && whole
}
timed_out() { # timeout signals the launcher and its group
	shut "$D/open"
	launch timeout --preserve-status 20 "$PROGRAM" launch -n 3 compile "$DIR/job.json" --out="$D/o" --lm.concurrency=2 --lm.api_base="$SLOW_URL"
	works
	slowly 75 && stopped && ends 1 && clean || return
	shut "$D/open"
	launch timeout -s KILL 8 "$PROGRAM" launch -n 3 compile "$DIR/job.json" --out="$D/o" --lm.concurrency=2 --lm.api_base="$SLOW_URL"
	works
	slowly 137 && ends 12 && clean && whole
}
second_term() { # while mpirun is stopped
	compile
	works && kill -STOP "$mpirun" && kill -TERM $pid && code 75 && stopped && ends 1 && clean && whole || return
	rm -rf "$D/o"
	compile
	works || return
	kill -TERM $pid
	sleep 0.6
	kill -TERM $pid
	code 75 && ends 1 && clean && whole
}
never_begins() { # and leaves a child
	fake 'sleep 300 &' "sh -c 'sleep 300; : --out=$D/o'"
	code 70 && says "mpirun started no rank" && ends 1 && clean
}
deaf() { # to TERM
	fake "trap '' TERM" "while :; do sleep 1; done"
	code 70 && says "mpirun started no rank" && ends 1 && clean || return
	fake "trap '' TERM" 'exec 2>&-' "while :; do sleep 1; done"
	until pgrep -P $pid >/dev/null; do sleep 0.05; done
	kill -TERM $pid
	code 75 && says "the same command resumes" && ends 1 && clean || return
	fake "trap '' TERM" "while :; do sleep 1; done"
	until pgrep -P $pid >/dev/null; do sleep 0.05; done
	kill -9 $pid
	ends 12 && clean
}
stuck() { # one rank never comes to MPI_Init
	preloaded HANGING_RANK=1 DM_BEGIN_SECONDS=4 "$PROGRAM" launch -n 3 --restarts 0 compile "$DIR/job.json" --out="$D/o"
	code 70 && ends 1 && clean
}
begun() { until ls "$D"/tmp/dspy-mpi.* >/dev/null 2>&1; do sleep 0.01; done; } # it has come to its first step
early() { # asked to stop at any moment of the start
	for moment in 0 0.1 0.25 0.4 0.6 0.9; do
		compile
		begun
		sleep $moment
		kill -TERM $pid
		code 75 && ends 1 && clean || return
	done
	whole && clean
}
early_killed() { # in the start, when what it began has not yet heard of it
	# killed behind mkdtemp, and behind the open of its owner's file; the third is not ours, as far as one can tell
	mkdir "$D/tmp/dspy-mpi.aaaaaa" "$D/tmp/dspy-mpi.bbbbbb" "$D/tmp/dspy-mpi.cccccc"
	: >"$D/tmp/dspy-mpi.bbbbbb/owner"
	: >"$D/tmp/dspy-mpi.cccccc/notes"
	for moment in 0.02 0.1 0.2 0.35 0.6; do
		compile
		sleep $moment
		kill -9 $pid
		ends 15 || return
	done
	whole && rm "$D/tmp/dspy-mpi.cccccc/notes" && rmdir "$D/tmp/dspy-mpi.cccccc" && clean
}
missing() {
	launch env PATH=/nonexistent "$PROGRAM" launch -n 2 compile "$DIR/job.json" --out="$D/o"
	code 70 && says "mpirun was not found" && clean
}
few_files() { # mpirun hangs where it may open 40: too low a limit is told, one that may be raised is raised
	launch sh -c "ulimit -n 40; exec $PROGRAM launch -n 2 compile $DIR/job.json --out=$D/o"
	code 70 && says "40 open files are allowed here, and mpirun needs 64 or more" && clean || return
	launch sh -c "ulimit -S -n 24; exec $PROGRAM launch -n 2 compile $DIR/job.json --out=$D/o"
	code 0 && same && clean
}
background() { # of a terminal that stops who writes to it from there; script(1) may lose the last line
	command -v python3 >/dev/null || return 77
	shut "$D/open"
	launch python3 tests/pty_run.py 200 "$D/raw" sh -mc "stty tostop; $PROGRAM launch -n 3 compile $DIR/job.json --json --out=$D/o --lm.concurrency=4 --lm.api_base=$SLOW_URL 2>$D/err.1 & wait"
	works && code 0 && same && { grep -q '"status": "done"' "$D/raw" || ! echo "no last line in: $(cat "$D/raw" "$D/err.1" | tail -3)"; } && ends 1 && clean
}
tmpdir() { # a metric finds the user's temporary folder, and what it puts there stays
	mkdir -p "$D/tmp/users"
	cat >"$D/metric" <<-END
		#!/bin/sh
		while read -r line; do echo "\$TMPDIR" >"\$TMPDIR/seen"; echo '{"score": 1}'; done
	END
	chmod +x "$D/metric"
	TMPDIR="$D/tmp/users" setsid "$PROGRAM" launch -n 2 eval "$DIR/job.json" --metric="{\"command\": [\"$D/metric\"]}" >"$D/out" 2>"$D/err" &
	pid=$!
	code 0 && [ "$(cat "$D/tmp/users/seen")" = "$D/tmp/users" ] && [ "$(ls -A "$D/tmp/users")" = seen ]
}

for scene in ${ONLY:-$SCENES}; do
	D=$DIR/$scene GATE=$DIR/$scene/open
	mkdir -p "$D/tmp"
	(
		trap - EXIT
		$scene >"$D/why" 2>&1
		echo $? >"$D/result"
		for p in $(ours); do kill -9 "$p"; done
	) &
	waits="$waits $!"
done
# shellcheck disable=SC2086
wait $waits
for scene in ${ONLY:-$SCENES}; do
	case $(cat "$DIR/$scene/result") in 0) ok "$scene" ;; 77) skip "$scene needs script(1)" ;; *) not_ok "$scene: $(paste -sd' ' "$DIR/$scene/why")" "$DIR/$scene/err" ;; esac
done
