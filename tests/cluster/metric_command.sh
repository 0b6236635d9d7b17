# One's own metric as a program: right scores, or the documented error; nothing is left behind.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
plan 12
if ! command -v python3 >/dev/null; then
	for i in 1 2 3 4 5 6 7 8 9 10 11 12; do skip "needs python3"; done
	exit 0
fi
HOST=$PWD/scripts/metric-host
"$MOCK" --make-data 40 3 0 >"$DIR/train.jsonl"
start_mock --rule planted --seed 3
cat >"$DIR/mine.py" <<'EOF'
import os, subprocess, sys, time, re
def boolean(example, prediction, trace=None): return example.answer == prediction.answer
def number(example, prediction, trace=None): return 0.5 + 0.5 * (example["answer"] == prediction["answer"])
def traced(example, prediction, trace=None): return example.answer == prediction.answer if trace is None else trace[0][2].answer == example.answer
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
def keys(example, prediction, trace=None): return not any("API_KEY" in k or (k.startswith("OMPI_") and not k.startswith("OMPI_ALLOW")) or k.startswith("PMIX") for k in os.environ)
EOF
job() {
	cat >"$DIR/job.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "metric": {"command": ["$HOST", "mine:$1"], "timeout": ${2:-10}},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16}}
EOF
}
eval_() { (cd "$DIR" && OPENAI_API_KEY=sk-secret-key timeout 100 mpirun --oversubscribe -n 5 "$PROGRAM" eval job.json --split=trainset >out 2>err); }
score() { json trainset.score "$DIR/out"; }
failed() { json trainset.failed "$DIR/out"; }
cat >"$DIR/builtin.json" <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "metric": "exact_match",
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16}}
EOF
run 0 "$PROGRAM" eval "$DIR/builtin.json" --split=trainset
right=$(score)
for m in boolean traced slow printing; do
	job $m
	eval_
	check "$m: $(score)" [ "$(score)" = "$right" ]
done
job number
eval_
check "number: $(score)" [ "$(awk -v a="$right" 'BEGIN { printf "%.4f", 0.5 + a / 2 }')" = "$(awk -v a="$(score)" 'BEGIN { printf "%.4f", a }')" ]
job constant
eval_
check "constant: $(score)" [ "$(score)" = 1 ]
job raising
eval_
check "raising: $(failed) failed, the others scored" [ "$(failed)" = 1 ]
job hanging 1
eval_
check "hanging: $(failed) failed, the others scored" [ "$(failed)" = 1 ]
job dying
eval_
check "dying: $(failed) failed, the others scored by a new child" [ "$(failed)" = 1 ]
job forking
eval_
check "forking: nothing that it started is left" sh -c "[ $(score) = $right ] && ! pgrep -f '[s]leep 77' >/dev/null"
job keys
eval_
check "no key and none of MPI's variables reach it" [ "$(score)" = 1 ]
check "no metric's process is left" sh -c "! pgrep -f '[m]etric-host mine' >/dev/null"
