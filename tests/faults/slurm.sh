# A SLURM of our own on this machine. jobs/compile.sbatch: warned, requeued, resumed, finished; beside it, for they
# wait: a job that is stopped by hand, in mid-run and while it is queued again, one whose server dies while it loads, one
# whose server dies later, and one that finds its server down when it is started again. Shells and steps under srun with
# each --mpi that it has, and an allocation without srun. jobs/script.sbatch with a Python script, where DSPY_PYTHON has
# dspy. Needs root and slurmctld, slurmd, munge
# (scripts/install-deps --test).
LEAKS=0
. tests/lib.sh
tests=29
plan $tests
if [ "$(id -u)" != 0 ] || ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
	skip_all $tests "needs root, slurmctld, slurmd and munged"
	exit 0
fi
down() {
	for f in slurmd slurmctld munged; do [ -s "$DIR/$f.pid" ] && kill "$(cat "$DIR/$f.pid")" 2>/dev/null; done
	for f in slurmd slurmctld munged; do # they write to the folder until their end
		for _ in $(seq 50); do
			[ -e "$DIR/$f.pid" ] || break
			sleep 0.1
		done
	done
	[ -z "${KEEP:-}" ] || cp -r "$DIR" "$KEEP"
	cleanup
}
trap down EXIT
chmod 755 "$DIR"
mkdir -p "$DIR/state" "$DIR/spool" "$DIR/munge"
chmod 700 "$DIR/munge"
port=$((20000 + $$ % 10000))
dd if=/dev/urandom of="$DIR/munge/key" bs=1024 count=1 status=none
chmod 400 "$DIR/munge/key"
munged --force --key-file="$DIR/munge/key" --socket="$DIR/munge.socket" --pid-file="$DIR/munged.pid" \
	--log-file="$DIR/munge/log" --seed-file="$DIR/munge/seed" 2>/dev/null
export SLURM_CONF="$DIR/slurm.conf"
sed "s#@DIR@#$DIR#; s#@HOST@#$(hostname -s)#; s#@PORT@#$port#; s#@DPORT@#$((port + 1))#" tests/faults/slurm.conf.in >"$SLURM_CONF"
slurmctld -i -f "$SLURM_CONF" 2>"$DIR/err"
slurmd -N n1 -f "$SLURM_CONF" 2>>"$DIR/err"
for _ in $(seq 60); do
	[ "$(sinfo -h -o %T 2>/dev/null)" = idle ] && break
	sleep 0.5
done
check "SLURM is up" [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]

start_mock --rule planted --seed 9 --latency 200 --latency-jitter 200
"$MOCK" --make-data 60 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 60 9 1000 >"$DIR/val.jsonl"
cat >"$DIR/job.json" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 6},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 8}}
END
run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole" --lm.concurrency=64
calls=$(stat_of requests)
script=$PWD/jobs/compile.sbatch
cd "$DIR" || exit 70
export DSPY_MPI="$PROGRAM"
submit() { sbatch --parsable --ntasks=2 --time=10 "$@" 2>>"$DIR/err"; }
grown() { # grown JOB BYTES: its journal
	for _ in $(seq 600); do
		[ -s "run.$1/journal" ] && [ "$(wc -c <"run.$1/journal")" -gt "$2" ] && return
		sleep 0.1
	done
}
state() { scontrol show job "$1" -o | sed -n 's/.* JobState=\([A-Z]*\).*/\1/p'; }
over() { # over JOB: waits until SLURM has done with it; its output is then DIR/out
	for _ in $(seq 1200); do
		case $(state "$1") in PENDING | RUNNING | COMPLETING) ;; *) break ;; esac
		sleep 0.1
	done
	cp "dspy-mpi.$1.out" "$DIR/out"
}
word() { scontrol show job "$1" -o | sed -n "s/.* $2=\([^ ]*\).*/\1/p"; }

id=$(submit --ntasks=4 "$script" job.json)
check "sbatch: job $id" [ -n "$id" ]
by_hand=$(submit "$script" job.json)
queued=$(submit "$script" job.json)
loads=$(SERVER="sleep 2; echo no such model; exit 3" submit "$script" job.json --lm.api_base=http://127.0.0.1:$((port + 2))/v1)
# a server that dies when it has answered some calls of the first start
cat >serve <<END
#!/bin/sh
$MOCK --port $((port + 3)) --rule planted --seed 9 --latency 100 &
[ ! -e served ] || wait
: >served
until [ "\$($MOCK --fetch 127.0.0.1:$((port + 3)) /stats 2>/dev/null | $MOCK --json-get requests)" -gt 100 ] 2>/dev/null; do sleep 0.1; done
kill \$!
exit 1
END
chmod +x serve
dies=$(SERVER="./serve" submit "$script" job.json --lm.api_base=http://127.0.0.1:$((port + 3))/v1)
# one whose server stays away for a while after a requeue
"$MOCK" --port $((port + 4)) --rule planted --seed 9 --latency 100 --max-seconds 600 >/dev/null 2>&1 &
away=$!
MOCKS="$MOCKS $away"
down=$(submit "$script" job.json --lm.api_base=http://127.0.0.1:$((port + 4))/v1)

grown "$down" 10000
kill "$away"
wait "$away" 2>/dev/null
scancel --batch --signal=USR1 "$down"
grown "$queued" 10000
scancel --batch --signal=USR1 "$queued"
grown "$by_hand" 10000
"$PROGRAM" stop "run.$by_hand" 2>"$DIR/err"
for _ in $(seq 300); do # it waits in the queue
	[ "$(state "$queued") $(word "$queued" Restarts)" = "PENDING 1" ] && break
	sleep 0.1
done
"$PROGRAM" stop "run.$queued" 2>"$DIR/err"
check "stop of a job that is queued again: said" said "queued again"
grown "$id" 30000
scancel --batch --signal=USR1 "$id" # what --signal=B:USR1@120 sends

over "$by_hand"
check "stop: the job ends for good, $(state "$by_hand")" [ "$(state "$by_hand") $(word "$by_hand" Restarts) $(grep -c 'not queued again' "$DIR/out")" = "FAILED 0 1" ]
over "$queued"
check "stop while it is queued: it ends as it starts, $(state "$queued")" [ "$(state "$queued") $(word "$queued" Restarts) $(grep -c -e 'not queued again' -e '^resumed: ' "$DIR/out")" = "FAILED 1 1" ]
over "$loads"
check "a server that dies while it loads: 69 at once, its log named, its words shown" [ "$(word "$loads" ExitCode) $(word "$loads" Restarts) $(grep -c -e "dspy-mpi.$loads.server" -e '^no such model' "$DIR/out")" = "69:0 0 2" ]
for _ in $(seq 600); do # the job that found its server down waits
	grep -q 'start 2$' "dspy-mpi.$down.out" && break
	sleep 0.1
done
sleep 8 # long enough for three calls that are not answered, which was the end
"$MOCK" --port $((port + 4)) --rule planted --seed 9 --latency 100 --max-seconds 600 >/dev/null 2>&1 &
MOCKS="$MOCKS $!"
over "$dies"
check "a server that dies later: queued again, and done" [ "$(word "$dies" ExitCode) $(word "$dies" Restarts) $(grep -c 'the server ended' "$DIR/out")" = "0:0 1 1" ]
check "the same program" cmp -s "run.$dies/program.json" whole/program.json
over "$down"
check "started again with its server down: it waits" [ "$(word "$down" ExitCode) $(word "$down" Restarts)" = "0:0 1" ]
check "to the same program" cmp -s "run.$down/program.json" whole/program.json
over "$id"
sed 's/^/# /' "$DIR/out" | cut -c1-160
check "warned, requeued, resumed, finished" [ "$(grep -c -e '^warned after' -e '^ended with 75' -e 'start 2$' -e 'resumed: ' -e '^ended with 0' "$DIR/out")" = 5 ]
check "the same program" cmp -s "run.$id/program.json" whole/program.json

# A Python script: the same calls of it go on. It has its environment from VENV, and its ranks from SLURM.
if "${DSPY_PYTHON:-python3}" -c 'import dspy, cloudpickle' 2>/dev/null; then
	sources=${script%/jobs/*} python=$(command -v "${DSPY_PYTHON:-python3}")
	export PYTHONPATH="$sources/scripts/python:$sources/tests/python" DSPY_CACHEDIR="$DIR/cache" PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 LITELLM_LOCAL_MODEL_COST_MAP=True
	"$python" "$sources/tests/python/server.py" "$DIR/pyport" "$DIR/log" .3 2>/dev/null &
	MOCKS="$MOCKS $!"
	until [ -s pyport ]; do sleep 0.05; done
	words="http://127.0.0.1:$(cat pyport)/v1"
	came() { curl -s "$words/models" | sed 's/.*"count": \([0-9]*\).*/\1/'; }
	run 0 "$python" "$sources/tests/python/package/script.py" dspy theirs.json "$words"
	set -- "$sources/jobs/script.sbatch" "$sources/tests/python/package/script.py" dspy_mpi ours.json "$words" '{"out": "run.py", "hosts": 1}'
	nothing=$(VENV="$DIR" submit --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 "$@")
	over "$nothing"
	check "an environment that is not there: 78, and where it was looked for" [ "$(word "$nothing" ExitCode) $(grep -c "there is no $DIR/bin/python3" "$DIR/out")" = "78:0 1" ]
	before=$(came)
	id=$(VENV="${python%/bin/*}" submit --nodes=1 --ntasks-per-node=2 --cpus-per-task=1 "$@")
	grown py 3000
	scancel --batch --signal=USR1 "$id"
	over "$id"
	sed 's/^/# /' "$DIR/out" | cut -c1-160
	check "a script: warned, requeued, finished" [ "$(word "$id" ExitCode) $(grep -c -e '^warned after' -e '^ended with 130' -e 'start 2$' -e '^ended with 0' "$DIR/out")" = "0:0 4" ]
	more=$(($(came) - before - $(sed -n 's/^\([0-9]*\) calls,.*/\1/p' "$DIR/out" | tail -1)))
	check "nothing asked again but calls in flight, $more of at most 6" [ "$more" -ge 0 -a "$more" -le 6 ]
	check "each time on SLURM's two tasks" [ "$(grep -c "dspy_mpi: BootstrapFewShot on 2 ranks" "$DIR/out")" = 2 ]
	check "the file that DSPy itself writes" cmp -s theirs.json ours.json
else
	skip_all 5 "no dspy in ${DSPY_PYTHON:-python3}: DSPY_PYTHON names the Python that has it"
fi

# Shells and steps. The stand-in needs no server.
cat >in.json <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "testset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "labeled_few_shot"}, "lm": {"model": "embedded/echo"}}
END
kinds=$(srun --mpi=list 2>&1 | sed -n 's/^[[:space:]]*\([a-z][a-z0-9_]*\)$/\1/p' | grep -v cray)
cat >shell <<END
#!/bin/sh
# what somebody types in a shell under srun
for words in "--version" "check in.json" "plan in.json" "show whole/program.json" "eval in.json" "compile in.json --out=o.\$1" "launch -n 2 eval in.json"; do
	$PROGRAM \$words >said.\$1 2>&1 || { echo "\$words: exit \$?"; tail -3 said.\$1; }
done
END
chmod +x shell
for kind in $kinds; do
	run 0 srun -n 1 --mpi="$kind" ./shell "$kind"
	check "a shell under srun --mpi=$kind: no command aborts" [ "$rc $(wc -c <"$DIR/out")" = "0 0" ]
	run 0 srun -n 3 --mpi="$kind" "$PROGRAM" check in.json
	check "check in a step of three with --mpi=$kind" [ "$rc $(grep -c MPI_ "$DIR/err")" = "0 0" ]
	run 0 srun -n 3 --mpi="$kind" "$PROGRAM" eval in.json
	lines=$(grep -c '"score"' "$DIR/out")
	case $kind in pmix*) want="0 1 0" ;; *) want="0 3 1" ;; esac
	check "eval in a step of three with --mpi=$kind: $lines scores" [ "$rc $lines $(grep -c 'each runs by itself' "$DIR/err")" = "$want" ]
done
# A container, or ssh: the allocation's variables, and no srun.
mkdir bin
for f in mpirun orted sh; do [ -z "$(command -v $f)" ] || ln -s "$(command -v $f)" bin/; done
for nodes in "n1 1 4" "n[1-2] 2 4(x2)" "elsewhere7 1 64"; do
	# shellcheck disable=SC2086
	set -- $nodes
	run 0 env PATH="$DIR/bin" SLURM_JOB_ID=7 SLURM_JOBID=7 SLURM_NODELIST="$1" SLURM_JOB_NODELIST="$1" SLURM_NNODES="$2" SLURM_TASKS_PER_NODE="$3" SLURM_NTASKS=8 SLURM_PROCID=0 "$PROGRAM" launch -n 2 eval in.json
	check "launch without srun in an allocation of $1" [ "$rc $(grep -c '"score"' "$DIR/out") $(grep -c 'SLURM gave 2 hosts' "$DIR/err")" = "0 1 $(($2 - 1))" ]
done
