# What is to be seen of a compile: status.json and `status` while it runs, when it was killed and when it has ended; what
# grows meanwhile; events and metrics; then report.html of every optimizer, whose numbers are those of the files, with
# foreign text that stays text; and what differs between two. WATCH_PYTHON: a Python with prometheus_client and
# mlflow-skinny, which read what they are given; without it the metrics are read by a pattern, and MLflow is left out.
LEAKS=0 # what Open MPI leaves at its end is not ours
. tests/lib.sh
plan 38
CHECK=$PWD/tests/report_check.py TO_MLFLOW=$PWD/scripts/to-mlflow SAMPLE=$PWD/jobs/sample
python=${WATCH_PYTHON:-}
cd "$DIR" || exit 70
good() { python3 "$CHECK" "$@" >>err 2>&1; } # good OUT WORDS...: the page is well-formed, safe and right
named() { grep -qE -- "$1" "$2"; }

# ---- a run that is watched, killed and resumed: until opened each answer waits half a second, which is minutes for all
start_mock --rule planted --seed 3
"$MOCK" --make-data 24 3 0 >train.jsonl
"$MOCK" --make-data 20 3 1000 >val.jsonl
shut
cat >job.json <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 60},
 "lm": {"model": "hosted_vllm/any", "api_base": "$SLOW_URL", "concurrency": 8}}
END
check "nothing has begun there" eval 'run 64 "$PROGRAM" status "$DIR" && said "no compile has begun"'
watched() { "$PROGRAM" compile job.json --out=o --events=events.jsonl --prometheus=run.prom >out1 2>err1 & }
watched
pid=$!
# until a candidate is known
until grep -qs '"event": "candidate"' events.jsonl && [ -s o/trials.csv ]; do
	kill -0 $pid 2>/dev/null || break
	sleep 0.1
done
run 0 "$PROGRAM" status o
check "status says that it runs, where it is and what it has: $(sed -n 3,4p out | tr -s ' ' | tr '\n' ';')" eval 'named "^state +running, process $pid on " out && named "^phase +search [0-9]+ of 1260 runs" out && named "^best +seed -[0-9]: [0-9.]+ % \([0-9.]+ to [0-9.]+, 20 examples\)" out && named "^slots +[0-9]+ of 8 busy on 1 rank; 0 errors" out'
check "status.json has phase, best with its interval, calls, tokens, places, time of last progress" python3 -c '
import json
s = json.load(open("o/status.json")); p = s["progress"]
assert s["status"] == "running" and s["version"] and s["started"] <= s["renewed"], s
assert p["phase"] == "search" and 0 < p["done"] <= p["total"] == 1260 and p["places"] == 8 and p["ranks"] == 1, p
assert p["best"]["n"] == 20 and p["best"]["low"] <= p["best"]["score"] <= p["best"]["high"], p
assert p["calls"] >= p["answers"] > 0 and p["tokens"]["prompt"] > 0 and p["last_progress"] <= s["renewed"], p'
check "trials.csv and candidates/ grow before the end, and are as at the end" eval 'grep -q ^trial,name,score o/trials.csv && [ "$(tail -n +2 o/trials.csv | wc -l)" -ge 1 ] && grep -q dspy_mpi o/candidates/000.json && [ ! -f o/program.json ]'
first=$(json renewed o/status.json)
for _ in $(seq 100); do [ "$(json renewed o/status.json)" != "$first" ] && break || sleep 0.1; done
check "and it is renewed" [ "$(json renewed o/status.json)" != "$first" ]
{ "$PROGRAM" status o --watch >watched & } 2>/dev/null
watcher=$!
for _ in $(seq 100); do [ -s watched ] && break || sleep 0.05; done
kill -9 $pid
wait $pid 2>/dev/null
check "a watcher sees its end" eval 'wait $watcher && tail -20 watched | grep -q "not running since 20"'
run 0 "$PROGRAM" status o
check "killed: $(sed -n 1p out)" named '^state +not running since 20..-..-..T..:..:..Z \([0-9.]+ s ago\): it was killed or lost' out
check "no time is left of what does not run" eval 'named "^phase" out && ! named " left$" out'
check "as JSON" eval 'run 0 "$PROGRAM" status o --json && [ "$(json runs out)" = false ] && [ "$(json status out)" = running ]'
run 0 "$PROGRAM" report o
check "the report of a killed run says so" good o "This run has not ended" "The search"
opened
watched
wait $!
run 0 "$PROGRAM" status o
check "resumed: $(sed -n 1p out | cut -c1-60)" eval 'named "^state +done, 20" out && named "^spent +[1-9][0-9]* calls" out'
check "nor of what has ended" python3 -c 'import json; p = json.load(open("o/status.json"))["progress"]; assert p["seconds_left"] is None and p["done"] <= p["total"], p; assert "/o\"} NaN" in next(x for x in open("run.prom") if x.startswith("dspy_mpi_seconds_left{"))'
check "lines of the log have the time of day" named '^[0-2][0-9]:[0-5][0-9]:[0-5][0-9] dspy-mpi: the start program scores' err1
check "no candidate is left that trials.csv has not" [ "$(ls o/candidates | wc -l)" = "$(tail -n +2 o/trials.csv | wc -l)" ]
check "events: JSON Lines of both attempts, to the end" python3 -c '
import json
e = [json.loads(l) for l in open("events.jsonl")]
assert [x["event"] for x in e].count("start") == 2 and e[-1]["event"] == "end" and e[-1]["exit"] == 0, e[-1]
assert {x["event"] for x in e} == {"start", "phase", "candidate", "progress", "end"}, {x["event"] for x in e}
assert all(x["time"].endswith("Z") and x["seconds"] >= 0 for x in e)
c = [x for x in e if x["event"] == "candidate"][-1]
assert c["low"] <= c["score"] <= c["high"] and c["n"] == 20 and c["calls"] > 0, c
last = json.load(open("o/status.json"))["last"]
assert e[-1]["last"] == last'
reads_metrics() {
	"${python:-python3}" -c '
import json, re
text = open("run.prom").read()
try:
    from prometheus_client.parser import text_string_to_metric_families as parse
    v = {s.name: s.value for f in parse(text) for s in f.samples}
except ImportError:
    v = {m[1]: float(m[2]) for m in re.finditer(r"(?m)^(\w+)\{[^}]*\} (\S+)$", text)}
last = json.load(open("o/status.json"))["last"]
assert v["dspy_mpi_running"] == 0 and v["dspy_mpi_calls_total"] == last["calls"], v
assert v["dspy_mpi_prompt_tokens_total"] == last["tokens"]["prompt"] and v["dspy_mpi_places"] == 8, v
assert v["dspy_mpi_best_score_low"] <= v["dspy_mpi_best_score"] <= v["dspy_mpi_best_score_high"], v'
}
check "metrics are read, and are those of the last line" reads_metrics

# ---- a report of each optimizer
mkdir sample && head -90 "$SAMPLE/train.jsonl" >sample/train.jsonl && head -60 "$SAMPLE/test.jsonl" >sample/test.jsonl
sample() { # sample OUT OPTIMIZER...
	name=$1
	shift
	cat >sample.json <<END
{"program": {"predict": {"signature": "message -> topic: Literal['refund', 'delivery', 'damaged', 'login', 'invoice', 'cancel', 'stock', 'praise']", "instructions": "Say what it is about."}},
 "trainset": "sample/train.jsonl", "valset_size": 36, "testset": "sample/test.jsonl", "inputs": ["message"], "metric": "exact_match", "lm": {"model": "embedded/stand-in", "concurrency": 128}}
END
	run 0 "$PROGRAM" compile sample.json --out="$name" "$@"
}
for optimizer in labeled_few_shot bootstrap_few_shot MIPROv2 gepa; do
	more=""
	[ $optimizer = gepa ] && more=--optimizer.max_metric_calls=300
	check "$optimizer: every number of the page is that of the files" eval 'sample $optimizer --optimizer=$optimizer $more && good $optimizer "unseen test examples" "stand-in, not a language model"'
done
check "random search, 3 ranks: likewise" eval 'run 0 mpirun --oversubscribe -n 3 "$PROGRAM" compile sample.json --out=random --optimizer=BootstrapRS --optimizer.num_candidate_programs=4 && good random "By rank" "Best so far, over calls"'
check "DSPy's own schedule: likewise" eval 'sample schedule --optimizer=MIPROv2 --optimizer.search=mipro --optimizer.auto=null --optimizer.num_candidates=3 --optimizer.num_trials=6 --optimizer.minibatch_size=10 && good schedule "trial 1" "Instructions of program that were tried"'
check "an ensemble: members, votes, where they disagree" eval 'sample both --optimizer="{\"name\": \"ensemble\", \"k\": 2, \"guard\": false, \"of\": {\"name\": \"BootstrapRS\", \"num_candidate_programs\": 2}}" && good both "The ensemble" "Where they disagree" "member 1:" && [ -s both/members/2/scores.csv ]'
check "stopped at its cap: the page says so" eval 'sample capped --optimizer=BootstrapRS --budget.calls=200 && good capped "stopped before its end: budget"'
cp random/report.html before.html
check "the command that makes it again has the options" grep -qF "<pre tabindex=\"0\">dspy-mpi compile sample.json --out=random --optimizer=BootstrapRS --optimizer.num_candidate_programs=4 --fresh</pre>" random/report.html
check "report makes the same page again, without a call" eval 'run 0 "$PROGRAM" report random && cmp -s before.html random/report.html'
sed -i '3s/,0\.\([0-9]\)/,0.9\1/' random/trials.csv
check "the check is one: another number in a file is noticed" eval '! good random'
check "somebody's report.html is not overwritten" eval 'echo mine >gepa/report.html && run 73 "$PROGRAM" report gepa && said "not overwritten" && [ "$(cat gepa/report.html)" = mine ]'

# ---- foreign text: data, instructions, names of model and folder, what a model answers
evil='</style><script>alert(1)</script><img src=http://x/ onerror=alert(2)> &amp; \"q\" '"'s' ]]> \\u202e"
sed "s|\"message\": \"|&$(printf '%s' "$evil" | sed 's/[&\\|]/\\&/g') |" sample/train.jsonl >evil.jsonl
cat >evil.json <<END
{"program": {"predict": {"signature": "message -> topic", "instructions": "$evil"}}, "trainset": "evil.jsonl", "valset_size": 30, "testset_size": 30, "inputs": ["message"],
 "metric": "exact_match", "optimizer": {"name": "BootstrapRS", "num_candidate_programs": 1}, "lm": {"model": "hosted_vllm/<b onclick=alert(3)>\"m", "api_base": "$MOCK_URL"}}
END
run 0 "$PROGRAM" compile evil.json --out='<i>"o&"'
check "foreign text stays text" good '<i>"o&"' '<script>alert(1)</script>' 'onclick=alert(3)' '\u202e'

# ---- two programs
run 0 "$PROGRAM" diff MIPROv2 schedule
check "diff: what changed, where, and whether it is real: $(grep ^testset out | cut -c1-120)" eval 'named "^testset +60 examples: A [0-9.]+ %.*; B - A [+-][0-9.]+ \([+-][0-9.]+ to [+-][0-9.]+\): (B is|no difference)" out && named "B better on [0-9]+" out'
check "diff --job runs both: it agrees with what they kept" eval 'grep ^testset out | sed "s/ (p = .*//" >kept && run 0 "$PROGRAM" diff MIPROv2/program.json schedule/program.json --job sample.json && grep ^testset out | sed "s/ (p = .*//" | cmp -s - kept'
check "one with itself" eval 'run 0 "$PROGRAM" diff MIPROv2 MIPROv2 && grep -q "the same instructions and demonstrations" out && grep -q "no difference outside the noise" out'
chosen() { run 0 "$PROGRAM" diff "$1" "$2" && [ "$(grep -o "(.* chosen by its own validation score)" out)" = "$3" ]; } # chosen A B LINE
check "whose validation score chose it" eval 'chosen MIPROv2 schedule "(each was chosen by its own validation score)" && chosen labeled_few_shot both "(B was chosen by its own validation score)" && chosen random bootstrap_few_shot "(A was chosen by its own validation score)"'
check "nothing chose what labels or bootstrapping alone made, nor one candidate" eval 'chosen labeled_few_shot bootstrap_few_shot "" && cp -r random single && sed -i 3q single/trials.csv && sed -i 3d single/trials.csv && chosen single labeled_few_shot ""'
check "two are needed" run 64 "$PROGRAM" diff MIPROv2

# ---- much: 10,000 candidates, 1,000 examples
python3 - <<'END'
import json, os, random
random.seed(1); os.mkdir("big"); n, m = 10000, 1000
for f in ("status.json", "program.json"): open(f"big/{f}", "w").write(open(f"MIPROv2/{f}").read())
e = json.load(open("MIPROv2/evidence.json"))
e["candidates"] = [{"trial": i, "name": f"candidate {i}", "calls": 100 + 7 * i, "estimate": random.random(), "prompt_tokens": random.randint(100, 4000)} for i in range(n)]
json.dump(e, open("big/evidence.json", "w"))
with open("big/trials.csv", "w") as f:
    f.write(open("MIPROv2/trials.csv").readline())
    f.writelines(f"{i},candidate {i},0.{random.randint(200000, 800000)},0.1,0.9,{random.choice([8, 40, m])},0,0,0,0,{int(i == 7)},candidates/{i}.json,{i % 20},{i // 20 % 18},{100 + i % 900},0\n" for i in range(n))
with open("big/predictions.jsonl", "w") as f:
    for s in ("valset", "testset"):
        for p in ("start", "compiled"):
            f.writelines(json.dumps({"split": s, "program": p, "id": f"r{i}", "inputs": {"message": "word " * 60}, "label": {"topic": "ab"[i % 2]}, "outputs": {"topic": random.choice("ab")}, "score": random.choice([0.0, 1.0]), "error": None}) + "\n" for i in range(m))
END
check "10,000 candidates: 2 s of CPU and 5 MB are enough" eval '(ulimit -t 2; run 0 "$PROGRAM" report big) && [ "$(wc -c <big/report.html)" -lt 5000000 ]'
if [ -n "$python" ]; then
	check "MLflow has the run, its scores, files and prompt" eval 'MLFLOW_ALLOW_FILE_STORE=true DSPY_MPI=$PROGRAM run 0 "$python" "$TO_MLFLOW" MIPROv2 --tracking-uri "file://$DIR/mlruns" && id=$(tail -1 out) && cat mlruns/*/$id/metrics/testset.compiled.score >score && [ "$(cut -d" " -f2 score | cut -c1-8)" = "$(json last.testset.compiled.score MIPROv2/status.json | cut -c1-8)" ] && ls mlruns/*/$id/artifacts/report.html && grep -q MIPROv2/1 mlruns/*/$id/tags/dspy_mpi.prompts'
else
	skip "no WATCH_PYTHON with mlflow"
fi
check "to-mlflow of what is no OUT" eval 'run 65 python3 "$TO_MLFLOW" sample && said "no status.json of a compile"'
