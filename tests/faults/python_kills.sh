# kill -9 of ranks, hosts, zygotes, guards and launchers under Python programs with threads, tasks, agents and several
# drafts: the same program as a calm run's, and no call but those in flight asked twice. BIG=1: 150 kills; KILLS: so many.
LEAKS=0
. tests/lib.sh
KILLS=${KILLS:-${BIG:+150}}
KILLS=${KILLS:-3}
plan 7
PYTHON=${DSPY_MPI_PYTHON:-${DSPY_PYTHON:-python3}}
"$PYTHON" -c 'import dspy, sys; sys.exit(tuple(map(int, dspy.__version__.split(".")[:2])) < (3, 4))' 2>/dev/null || {
	skip_all 7 "no dspy 3.4 (DSPY_PYTHON names a Python that has it)"
	exit 0
}
export DSPY_MPI_PYTHON="$PYTHON" OPENAI_API_KEY=sk-of-nobody-0123456789abcdef
cp tests/python/*.py "$DIR"
cd "$DIR" || exit 70
"$PYTHON" server.py port log .05 2>server.err &
MOCKS="$MOCKS $!"
while [ ! -s port ]; do sleep .05; done
URL=http://127.0.0.1:$(cat port)/v1
came() { # on a busy machine it may be asked more than once
	counted=
	until [ -n "$counted" ]; do counted=$(curl -s "$URL/models" | sed -n 's/.*"count": \([0-9]*\).*/\1/p'); done
	echo "$counted"
}
IN_FLIGHT=4
for m in p_team p_agent p_two_hops; do
	cat >$m.json <<END
{"program": {"python": "$m:program", "hosts": 2}, "trainset": {"python": "$m:trainset"}, "metric": {"python": "$m:metric"},
 "optimizer": {"name": "bootstrap_few_shot", "max_bootstrapped_demos": 3, "max_labeled_demos": 4},
 "lm": {"model": "openai/task", "api_base": "$URL", "concurrency": $IN_FLIGHT}}
END
	before=$(came)
	run 0 "$PROGRAM" compile $m.json --out=calm_$m
	echo $(($(came) - before)) >calm_$m.calls
done
hosts_of() { # zygote, hosts and their guards
	for p in /proc/[0-9]*; do grep -qz "^DSPY_MPI_JOB_DIR=$DIR" "$p/environ" 2>/dev/null && echo "${p#/proc/}"; done
}
family() { # of the run that was started last: mpirun and its ranks
	echo "$pid"
	pgrep -P "$pid" 2>/dev/null
}
# The one of the list that is meant by a number: the same kills each time, as far as the processes are the same.
pick() { n_of=$1 && shift && [ $# -gt 0 ] && shift $((n_of % $#)) && echo "$1"; }
begin() { # begin RANKS MODULE OUT
	[ "$1" = 1 ] && set -- "$1" "$2" "$3" "$PROGRAM"
	[ $# = 3 ] && set -- "$@" mpirun --oversubscribe --bind-to none -n "$1" "$PROGRAM"
	begun_module=$2 begun_out=$3
	shift 3
	"$@" compile "$begun_module.json" --out="$begun_out" >run.out 2>run.err &
	pid=$!
}
kills=0 round=0 wrong=0 twice=0 stuck=0
while [ $kills -lt $KILLS ]; do
	round=$((round + 1))
	set -- p_team p_agent p_two_hops
	module=$(pick $round "$@")
	out=k$round
	before=$(came)
	here=0
	calm=$(cat calm_$module.calls)
	for go in 1 2 3 4 5 6 7 8; do
		begin $((1 + (round + go) % 3)) "$module" "$out"
		until [ $(($(came) - before)) -ge $((calm * go / 6)) ] || ! kill -0 $pid 2>/dev/null; do sleep .02; done
		while [ $kills -lt $KILLS ] && [ $here -lt 3 ] && kill -0 $pid 2>/dev/null; do
			if [ $(((kills + round) % 3)) = 0 ]; then victims=$(family); else victims=$(hosts_of); fi
			victim=$(pick $((kills * 7 + round)) $victims)
			[ -n "$victim" ] || break
			kill -9 "$victim" 2>/dev/null && kills=$((kills + 1)) here=$((here + 1))
			now=$(came)
			until [ "$(came)" -gt "$now" ] || ! kill -0 $pid 2>/dev/null; do sleep .02; done
		done
		wait $pid 2>/dev/null && break
	done
	[ -e "$out/program.json" ] || stuck=$((stuck + 1))
	cmp -s "$out/program.json" calm_$module/program.json || wrong=$((wrong + 1))
	asked=$(($(came) - before))
	[ $asked -ge "$calm" ] && [ $asked -le $((calm + here * IN_FLIGHT)) ] || {
		twice=$((twice + 1))
		echo "# $module: $asked calls, $calm in a calm run, $here kills"
	}
done
check "calm runs have programs" [ -s calm_p_team/program.json -a -s calm_p_agent/program.json -a -s calm_p_two_hops/program.json ]
check "$kills kills in $round runs" [ $kills -ge $KILLS ]
check "each run came to its end ($stuck did not)" [ $stuck = 0 ]
check "the same program each time ($wrong were not)" [ $wrong = 0 ]
check "no more is asked again than was in flight ($twice times)" [ $twice = 0 ]
none_left() {
	for _ in $(seq 100); do
		[ -z "$(hosts_of)" ] && return 0
		sleep .1
	done
	return 1
}
check "nothing is left behind" none_left
check "no key in any file" [ -z "$(grep -rl sk-of-nobody . | head -1)" ]
