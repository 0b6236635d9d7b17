# One's own metric as a program, as people write them for DSPy: right scores or the documented error, on 4
# ranks that run models; nothing is left behind, also when a rank is killed; no key reaches it.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan 43
if ! command -v python3 >/dev/null; then
	for i in $(seq 42); do skip "needs python3"; done
	exit 0
fi
HOST=$PWD/scripts/metric-host ROOT=$PWD
"$MOCK" --make-data 40 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 40 3 1000 >"$DIR/val.jsonl"
start_mock --rule planted --seed 3
echo 'def same(a, b): return a.strip() == b.strip()' >"$DIR/helper.py"
cat >"$DIR/mine.py" <<'END'
import os, subprocess, sys, time
def boolean(example, prediction, trace=None): return example.answer == prediction.answer
def number(example, prediction, trace=None): return 0.5 + 0.5 * (example["answer"] == prediction["answer"])
def traced(example, prediction, trace=None): return example.answer == prediction.answer if trace is None else trace[0][2].answer == example.answer
def importing(example, prediction, trace=None):
    import collections, helper
    return helper.same(collections.OrderedDict(prediction.toDict())["answer"], example.get("answer"))
def slow(example, prediction, trace=None): time.sleep(0.02); return boolean(example, prediction)
def raising(example, prediction, trace=None):
    if "item 7:" in example.question: raise ValueError("odd input")
    return boolean(example, prediction)
def printing(example, prediction, trace=None): print("{\"score\": 1}"); return boolean(example, prediction)
def hanging(example, prediction, trace=None):
    if "item 7:" in example.question: time.sleep(60)
    return boolean(example, prediction)
def forking(example, prediction, trace=None):
    if "item 7:" in example.question: subprocess.Popen(["sleep", "77"])
    return boolean(example, prediction)
def constant(example, prediction, trace=None): return 1
def dying(example, prediction, trace=None):
    if "item 7:" in example.question: print("last words", file=sys.stderr); os._exit(3)
    return boolean(example, prediction)
def keys(example, prediction, trace=None):
    own = " ".join(f"{k}={v}" for k, v in os.environ.items()) + open("/proc/self/cmdline").read()
    return "sk-secret-key" not in own and "sk-other" not in own and not any((k.startswith("OMPI_") and not k.startswith("OMPI_ALLOW")) or k.startswith("PMIX") for k in os.environ)
def wrong(example, prediction, trace=None): return example.question == prediction.answer
def half(example, prediction, trace=None): return 0.5 * (example.answer == prediction.answer)
def inner(example, prediction, trace=None): return __import__("json").loads("{") == prediction.answer
def broken(example, prediction, trace=None): return example.label == prediction.answer
def stuck(example, prediction, trace=None):
    subprocess.Popen(["sleep", "78"])
    open(os.path.join(os.path.dirname(__file__), "stuck"), "a").write(f"{os.getpid()}\n")
    time.sleep(78)
END
job() { # job METRIC [TIMEOUT]
	cat >"$DIR/${JOB:=job}.json" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": {"command": ["$HOST", "mine:$1"], "timeout": ${2:-10}},
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 4},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16}}
END
}
evaluate() { # evaluate METRIC: a job, what is printed and what is said, each of that name
	JOB=$1
	[ "$1" = keys ] && set -- "$1" --lm.api_key_env=MY_OTHER
	job "$1" # none but what hangs needs the 10 s, on any machine
	cd "$DIR" || return
	metric=$1
	shift
	OPENAI_API_KEY=sk-secret-key MY_OTHER=sk-other timeout 100 mpirun --oversubscribe -n 5 "$PROGRAM" eval "$metric.json" --split=trainset "$@" >"$metric.out" 2>"$metric.err"
}
four() { awk -v a="$1" 'BEGIN { printf "%.4f", a }'; }
scored() { # scored METRIC: as it has to be
	score=$(json trainset.score "$DIR/$1.out") failed=$(json trainset.failed "$DIR/$1.out")
	cp "$DIR/$1.out" "$DIR/out" && cp "$DIR/$1.err" "$DIR/err"
	case $1 in
	number) check "number: $score" [ "$(four "$(awk -v a="$right" 'BEGIN { print 0.5 + a / 2 }')")" = "$(four "$score")" ] ;;
	constant) check "constant: $score" [ "$score" = 1 ] ;;
	raising | hanging | dying) check "$1: $failed failed, the others scored" [ "$failed" = 1 ] ;;
	keys) check "no key (also of another name) and none of MPI's variables reach it" [ "$score" = 1 ] ;;
	*) check "$1: $score" [ "$score" = "$right" ] ;;
	esac
}
cat >"$DIR/builtin.json" <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "metric": "exact_match",
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16}}
END
run 0 "$PROGRAM" eval "$DIR/builtin.json" --split=trainset
right=$(json trainset.score "$DIR/out")

# A function by its name alone: metric-host and a Python are found from where the program is, by every rank, whatever
# the folder. The Pythons here write down that they ran, and run the other one.
mkdir -p "$DIR/inst/bin" "$DIR/inst/share/dspy-mpi" "$DIR/venv/bin" "$DIR/away"
copy_program "$DIR/inst/bin/dspy-mpi" && cp "$HOST" "$DIR/inst/share/dspy-mpi/"
for place in inst venv; do
	printf '#!/bin/sh\necho "%s $1" >>"%s/pythons"\nexec "%s" "$@"\n' $place "$DIR" "$(command -v python3)" >"$DIR/$place/bin/python3"
	chmod +x "$DIR/$place/bin/python3"
done
by_name() { # by_name METRIC WHICH COMMAND...: its score is the built-in one's, and WHICH Python ran the script beside the program
	sed 's/"exact_match"/'"$1/" "$DIR/builtin.json" >"$DIR/named.json"
	which=$2
	shift 2
	rm -f "$DIR/pythons"
	(cd "$DIR/away" && timeout 100 "$@" eval ../named.json --split=trainset) >"$DIR/out" 2>"$DIR/err"
	[ "$(json trainset.score "$DIR/out")" = "$right" ] && [ "$(sort -u "$DIR/pythons" 2>/dev/null)" = "$which" ]
}
unset VIRTUAL_ENV CONDA_PREFIX DSPY_MPI_PYTHON
INST=$(realpath "$DIR/inst")/share/dspy-mpi/metric-host
check "\"mine:boolean\" is a metric: the Python beside the program runs it" by_name '"mine:boolean"' "inst $INST" "$DIR/inst/bin/dspy-mpi"
ln -s inst/bin/dspy-mpi "$DIR/linked"
check "also by a link to the program, on 3 ranks, two of it each" by_name '{"python": "mine:boolean", "processes": 2}' "inst $INST" mpirun --oversubscribe -n 3 "$DIR/linked"
check "an active environment's Python goes before" by_name '"mine.py:boolean"' "venv $INST" env VIRTUAL_ENV="$DIR/venv" "$DIR/inst/bin/dspy-mpi"
rm "$DIR/inst/bin/python3"
check "and where neither is there, PATH's" by_name '{"python": "mine:boolean"}' "venv $INST" env PATH="$DIR/venv/bin:$PATH" "$DIR/inst/bin/dspy-mpi"
rm "$INST"
by_name '"mine:boolean"' "" "$DIR/inst/bin/dspy-mpi"
check "without the script one sentence says so" said "the script metric-host, which runs Python functions, is not beside"
sed 's/"exact_match"/"nowhere:boolean"/' "$DIR/builtin.json" >"$DIR/named.json"
check "a module that there is not is named" eval '! timeout 60 "$PROGRAM" eval "$DIR/named.json" --split=trainset >"$DIR/out" 2>"$DIR/err" && said "nowhere:boolean cannot be loaded"'
side_by_side 4 evaluate scored hanging boolean traced importing slow printing number constant raising dying forking keys
check "forking: nothing that it started is left" sh -c "! pgrep -f '[s]leep 77' >/dev/null"
check "no metric's process is left" sh -c "! pgrep -f '${HOST%metric-host}[m]etric-host mine' >/dev/null"

# The errors are where they are documented to be.
job raising
run 0 "$PROGRAM" compile "$DIR/job.json" --optimizer=labeled_few_shot --valset="$DIR/train.jsonl"
check "a metric's exception stands in predictions.jsonl, with its line" grep -q '"error": "metric", "message": ".*ValueError: odd input (mine.py:[0-9]*)' "$DIR/job/predictions.jsonl"
job dying
run 0 "$PROGRAM" compile "$DIR/job.json" --optimizer=labeled_few_shot --valset="$DIR/train.jsonl" --fresh
check "a dead one's last words too" grep -q 'ended before it answered; its last words: last words' "$DIR/job/predictions.jsonl"

# The first two: the winner is DSPy's (recorded from tests/dspy/winner.py, and compared where there is a dspy).
demos() { python3 -c 'import json, sys; print(json.dumps(json.load(open(sys.argv[1]))["demos"], ensure_ascii=False))' "$1"; }
compile_() {
	JOB=$1
	job "$1"
	timeout 100 mpirun --oversubscribe -n 5 "$PROGRAM" compile "$DIR/$1.json" --fresh >"$DIR/$1.out" 2>"$DIR/$1.err"
}
winner() {
	m=$1
	demos "$DIR/$m/program.json" >"$DIR/$m.ours"
	sum=$(sha256sum <"$DIR/$m.ours" | cut -c1-16)
	case $m in
	boolean) known=44fdc1d828dff0fa ;;
	number) known=44fdc1d828dff0fa ;;
	esac
	check "$m: DSPy's winner ($sum)" [ "$sum" = $known ]
	if [ -n "${DSPY_PYTHON:-}" ]; then
		"$DSPY_PYTHON" tests/dspy/winner.py "$DIR" $m "$MOCK_URL" >"$DIR/$m.dspy" 2>"$DIR/err"
		check "$m: the real DSPy's, run now" cmp -s "$DIR/$m.ours" "$DIR/$m.dspy"
	else
		skip "set DSPY_PYTHON to a Python that has dspy"
	fi
}
side_by_side 2 compile_ winner boolean number

# A key reaches nothing that is written: OUT, what is said, what ps shows.
job keys
(cd "$DIR" && OPENAI_API_KEY=sk-secret-key MY_OTHER=sk-other timeout 100 mpirun --oversubscribe -n 5 "$PROGRAM" compile job.json --fresh --verbose --lm.api_key_env=MY_OTHER >out 2>err)
check "the metric saw none in a compile" [ "$(json valset.compiled.score "$DIR/out")" = 1 ]
check "no key in OUT, on stdout or on stderr" sh -c "! grep -rqa -e sk-secret-key -e sk-other '$DIR/job' '$DIR/out' '$DIR/err'"

# A wrong metric is said before the search starts, and without a call.
before=$(stat_of requests)
tried() { # tried METRIC WORDS
	job "$1"
	if run 0 "$PROGRAM" check "$DIR/job.json" && grep -qF -- "$2" "$DIR/out"; then ok "$1: $(grep '^metric' "$DIR/out")"; else not_ok "$1 is noticed" "$DIR/out" "$DIR/err"; fi
}
tried constant "right and wrong answers score the same (1)"
tried half "score below 1 in 80 of 80 examples (0.5)"
job wrong
check "wrong: no label scores, so check fails" run 65 "$PROGRAM" check "$DIR/job.json"
check "and says so" sh -c "grep -qF 'score the same (0)' '$DIR/out' && grep -qF 'every label scores 0' '$DIR/err'"
refused() { # refused METRIC WORDS: it does not run, so nothing else does
	job "$1"
	if run 65 "$PROGRAM" check "$DIR/job.json" && said "$2" && run 65 "$PROGRAM" compile "$DIR/job.json" --fresh && said "$2"; then
		ok "$1 is refused: $(tail -1 "$DIR/err" | cut -c1-200)"
	else not_ok "$1 is refused" "$DIR/out" "$DIR/err"; fi
}
refused broken "no field 'label'"
refused inner "(char 1) (mine.py:"
refused nonesuch "mine:nonesuch cannot be loaded: AttributeError"
job boolean
run 0 "$PROGRAM" check "$DIR/job.json"
check "a good one gets no remark" grep -qx 'metric    command' "$DIR/out"
check "no call was made for that" [ "$(stat_of requests)" = "$before" ]
job constant
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
check "compile says it at its start" said "metric command: right and wrong answers score the same"
check "and when the start program is scored" said "every score of the start program is the same (1 on 40 examples)"

# Another version of the metric is another metric: its scores are not taken for the old one's.
job boolean
run 0 "$PROGRAM" compile "$DIR/job.json" --fresh
run 0 "$PROGRAM" compile "$DIR/job.json"
check "the same metric: finished" said "is finished"
sed -i 's/^def boolean.*/def boolean(example, prediction, trace=None): return 0.9 * (example.answer == prediction.answer)/' "$DIR/mine.py"
check "a changed one: another job" run 73 "$PROGRAM" compile "$DIR/job.json"
check "named" said '`metric` differs'

# kill -9 of every rank: no metric is left, though it hangs, nor what it forked.
job stuck 100
(cd "$DIR" && exec mpirun --oversubscribe -n 3 "$PROGRAM" eval job.json --split=trainset) >"$DIR/out" 2>"$DIR/err" &
pid=$!
for i in $(seq 600); do [ "$(wc -l 2>/dev/null <"$DIR/stuck")" = 2 ] && break; sleep 0.05; done
pkill -9 -f "^$PROGRAM eval job.json --split=trainset" --parent $pid
wait $pid 2>/dev/null
gone=no
for i in $(seq 400); do
	pgrep -f '[m]etric-host mine:stuck|[s]leep 78' >"$DIR/left" || { gone=yes; break; }
	sleep 0.05
done
check "kill -9 of the ranks: no metric and nothing that it started is left" [ "$(wc -l <"$DIR/stuck")$gone" = 2yes ]
