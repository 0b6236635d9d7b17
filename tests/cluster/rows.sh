# Rows travel with the work that needs them: a worker's memory does not grow with the data, and rank 0's hardly with
# the ranks. A rank of another build is refused, and both are named. BIG=1: 85 MB of data instead of 17, and 9 ranks.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan $((${BIG:+2} + 6))
if ! command -v python3 >/dev/null; then
	skip_all $((${BIG:+2} + 6)) "no python3, which makes the data and reads the peak of each rank's memory"
	exit 0
fi
cat >"$DIR/peak.py" <<'EOF'
# FOLDER COMMAND...: runs it, and leaves the peak of its memory in KiB in FOLDER/rank
import os, resource, subprocess, sys
code = subprocess.run(sys.argv[2:]).returncode
with open(f'{sys.argv[1]}/{os.environ.get("OMPI_COMM_WORLD_RANK", "0")}', "w") as f:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=f)
sys.exit(code)
EOF
python3 - "$DIR" "${BIG:+100000}" <<'EOF'
import json, random, sys
random.seed(1)
words = ["%x" % random.getrandbits(40) for _ in range(2000)]
with open(sys.argv[1] + "/big.jsonl", "w") as f:
    for i in range(int(sys.argv[2] or 20000)):
        text = " ".join(random.choice(words) for _ in range(75))
        print(json.dumps({"question": f"item {i}: {text}", "answer": "red"}), file=f)
EOF
cat >"$DIR/job.json" <<'EOF'
{"program": {"predict": "question -> answer"}, "valset": "big.jsonl", "metric": "answer_exact_match",
 "lm": {"model": "embedded/stand-in", "concurrency": 1024}, "out": "o"}
EOF
# memory RANKS: an eval on so many; the peaks in $FIRST (rank 0) and $MOST (of the others), in MiB
memory() {
	rm -rf "$DIR/peak"
	mkdir "$DIR/peak"
	start="mpirun --oversubscribe -n $1"
	[ "$1" = 1 ] && start=""
	# shellcheck disable=SC2086
	run 0 $start python3 "$DIR/peak.py" "$DIR/peak" "$PROGRAM" eval "$DIR/job.json" || return 1
	tail -1 "$DIR/out" | sed 's/"seconds": [0-9.]*//' >"$DIR/line.$1"
	FIRST=$(($(cat "$DIR/peak/0") / 1024))
	rm "$DIR/peak/0"
	MOST=$(cat "$DIR"/peak/* 2>/dev/null | sort -n | tail -1)
	MOST=$((${MOST:-0} / 1024))
}
own=25 # MiB that Open MPI takes in a rank: nothing beside 200, much beside 60
[ -n "$BIG" ] && own=0
if [ -n "$SANITIZED" ]; then
	skip_all $((${BIG:+2} + 5)) "the sanitizer's memory is not the program's"
else
	SECONDS_LIMIT=300
	check "one process" memory 1
	one=$FIRST
	for k in 2 5 ${BIG:+9}; do
		memory $k || FIRST=9999
		check "$k ranks: the same scores" cmp -s "$DIR/line.1" "$DIR/line.$k"
		what="$k ranks: rank 0 $FIRST MiB (one process $one), the others $MOST at most"
		check "$what" test "$MOST" -lt 40 -a $((10 * FIRST)) -le $((12 * one + 10 * own))
	done
fi

copy_program "$DIR/other"
sed 's/dspy-mpi 0\.1\.0 (/dspy-mpi 0.1.9 (/g' "$PROGRAM" >"$DIR/other"
head -20 "$DIR/big.jsonl" >"$DIR/small.jsonl"
cat >"$DIR/each" <<'EOF'
#!/bin/sh
# mpirun -n 2 A : -n 1 B would do, but Open MPI 5.0.7's crashes at the end of a job of two programs that fails
[ "$OMPI_COMM_WORLD_RANK" = 2 ] && exec "${0%each}other" "$@"
exec "$PROGRAM" "$@"
EOF
chmod +x "$DIR/each"
export PROGRAM
other_build() {
	run 70 mpirun --oversubscribe -n 3 "$DIR/each" eval "$DIR/job.json" --valset="$DIR/small.jsonl" &&
		said "rank 2 runs dspy-mpi 0.1.9" && said "rank 0 runs dspy-mpi 0.1.0"
}
check "a rank of another build: exit 70, both are named" other_build
