# jobs/compile.sbatch in a SLURM of our own on this machine: warned, requeued, resumed, finished. Needs root
# and slurmctld, slurmd, munge (scripts/install-deps --slurm).
LEAKS=0
. tests/lib.sh
plan 4
if [ "$(id -u)" != 0 ] || ! command -v slurmctld >/dev/null || ! command -v slurmd >/dev/null || ! command -v munged >/dev/null; then
	skip_all 4 "needs root, slurmctld, slurmd and munged"
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
id=$(sbatch --parsable --ntasks=4 --time=10 "$script" job.json 2>"$DIR/err")
check "sbatch: job $id" [ -n "$id" ]
until [ -s "run.$id/journal" ] && [ "$(wc -c <"run.$id/journal")" -gt 30000 ]; do
	sleep 0.1
	[ $((waited = ${waited:-0} + 1)) -lt 600 ] || break
done
scancel --batch --signal=USR1 "$id" # what --signal=B:USR1@120 sends
for _ in $(seq 150); do
	[ "$(json status "run.$id/status.json" 2>/dev/null)" = done ] && break
	sleep 1
done
for _ in $(seq 20); do
	[ -z "$(squeue -h -j "$id" 2>/dev/null)" ] && break
	sleep 0.5
done
cp "dspy-mpi.$id.out" "$DIR/out" 2>/dev/null
sed 's/^/# /' "$DIR/out" | cut -c1-160
check "warned, requeued, resumed, finished" [ "$(grep -c -e '^warned after' -e '^ended with 75' -e 'start 2$' -e 'resumed: ' -e '^ended with 0' "$DIR/out")" = 5 ]
spent=$(($(stat_of requests) - calls))
check "the same program, $spent calls for $calls" sh -c "cmp -s run.$id/program.json whole/program.json && [ $spent -le $((calls + 8)) ]"
