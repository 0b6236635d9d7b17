# Programs in Python (DSPy's): compiled on several ranks as DSPy compiles them, killed and gone on with, with programs
# that end, hang and break their process. DSPY_PYTHON or DSPY_MPI_PYTHON names a Python that has dspy; scripts/check-python has more.
LEAKS=0
. tests/lib.sh
CHECKS=52
[ -n "${BIG:-}" ] && CHECKS=54
plan $CHECKS
HERE=$PWD
PYTHON=${DSPY_MPI_PYTHON:-${DSPY_PYTHON:-python3}}
"$PYTHON" -c 'import dspy, sys; sys.exit(tuple(map(int, dspy.__version__.split(".")[:2])) < (3, 4))' 2>/dev/null || {
	skip_all $CHECKS "no dspy 3.4 (DSPY_PYTHON names a Python that has it)"
	exit 0
}
export DSPY_MPI_PYTHON="$PYTHON" OPENAI_API_KEY=sk-of-nobody-0123456789abcdef
cp tests/python/*.py "$DIR"
cd "$DIR" || exit 70
BODIES=bodies "$PYTHON" server.py port log .05 2>server.err &
MOCKS="$MOCKS $!"
while [ ! -s port ]; do sleep .05; done
URL=http://127.0.0.1:$(cat port)/v1
came() { "$PYTHON" -c "import json, urllib.request as u; print(json.load(u.urlopen('$URL/models'))['count'])"; }
job() { # job FILE PROGRAM TRAINSET METRIC MORE
	cat >"$1" <<END
{"program": {"python": "$2"}, "trainset": {"python": "$3"}, "metric": {"python": "$4"},
 "lm": {"model": "openai/task", "api_base": "$URL", "concurrency": 4, "api_key_env": "OPENAI_API_KEY"}, $5}
END
}
state() { "$PYTHON" -c "import json, sys; d = json.load(open(sys.argv[1])); d = d.get('state', d); d.pop('metadata', 0); print(json.dumps(d))" "$1"; }
same() { [ "$(state "$1")" = "$(state "$2")" ]; }
left() { # processes whose environment names this folder
	for p in /proc/[0-9]*; do grep -qz "^DSPY_MPI_JOB_DIR=$DIR" "$p/environ" 2>/dev/null && echo "${p#/proc/}"; done
}
none_left() {
	for _ in $(seq 100); do
		[ -z "$(left)" ] && return 0
		sleep .1
	done
	return 1
}
OPTIMIZER='"optimizer": {"name": "bootstrap_few_shot", "max_bootstrapped_demos": 3, "max_labeled_demos": 4}'
job hops.json p_two_hops:program p_two_hops:trainset p_two_hops:metric "$OPTIMIZER"
job team.json p_team.py:program p_team:trainset p_team:metric "$OPTIMIZER, \"valset\": {\"python\": \"p_team:trainset\"}"

PYTHONHASHSEED=0 "$PYTHON" dspys.py p_two_hops BootstrapFewShot dspy.json '{"max_bootstrapped_demos": 3, "max_labeled_demos": 4}' >/dev/null 2>err
check "two hops" run 0 "$PROGRAM" compile hops.json --out=one
check "the state is what DSPy itself compiles" same one/program.json dspy.json
run 0 "$PROGRAM" eval hops.json --split=trainset --out=whole
grep -o '"score": [0-9.]*' whole/predictions.jsonl >whole.scores
sed 's/"metric": \({"python": "[^"]*"}\)/"metric": {"sum": [{"metric": \1, "weight": 2}]}/' hops.json >sum.json
check "as a part of a sum its metric scores the same, beside the program" eval 'run 0 "$PROGRAM" eval sum.json --split=trainset --out=sum && grep -o "^.*\"parts\"" sum/predictions.jsonl | grep -o "\"score\": [0-9.]*" | cmp -s - whole.scores && grep -q "\"parts\": \[{\"metric\": \"p_two_hops:metric\", \"weight\": 2.0, \"score\": " sum/predictions.jsonl'
# The same two steps once in a job file and once in Python: everything that DSPy compares is the same.
"$PYTHON" -c 'import json, p_line; [print(json.dumps(dict(e))) for e in p_line.trainset]' >lines.jsonl
SEARCH='"valset_size": 12, "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 3}'
job lines.json p_line:program p_line:trainset p_line:metric "$SEARCH"
cat >steps.json <<END
{"program": {"steps": [{"name": "query", "chain_of_thought": "question -> search_query"},
                       {"name": "answer", "predict": "question, search_query -> answer, words: list[str]"}]},
 "trainset": "lines.jsonl", "inputs": ["question"], "metric": "answer_exact_match",
 "lm": {"model": "openai/task", "api_base": "$URL", "concurrency": 4, "api_key_env": "OPENAI_API_KEY"}, $SEARCH}
END
for way in lines steps; do
	: >bodies
	run 0 "$PROGRAM" compile $way.json --out=$way
	sort bodies >$way.bodies
	cut -d, -f1-4 $way/trials.csv >$way.scores
done
check "two steps in Python and in a job file: $(wc -l <lines.bodies) prompts, the same" eval '[ "$(wc -l <lines.bodies)" -gt 30 ] && cmp lines.bodies steps.bodies'
check "each candidate's score too: $(tail -1 lines.scores)" eval '[ "$(wc -l <lines.scores)" -gt 4 ] && cmp lines.scores steps.scores'
check "and the state" same lines/program.json steps/program.json
check "with demonstrations" grep -q '"augmented": true' lines/program.json
check "on 3 ranks" run 0 mpirun --oversubscribe --bind-to none -n 3 "$PROGRAM" compile hops.json --out=three
check "the same program" same one/program.json three/program.json
job named.json traps:Named traps:trainset traps:in_words "$OPTIMIZER"
check "what DSPy takes for true is accepted: an object with a score of 0, and no empty text" eval 'run 0 "$PROGRAM" compile named.json --out=named && [ "$(state named/program.json | grep -o "\"augmented\": true, \"question\": \"q[0-9]" | sort -u | grep -o "[0-9]\$" | tr -d "\n")" = 123 ]'
check "a parameter that is no predictor is in the file, in its place" sh -c 'grep -o "^  \"[a-z]*\"" named/program.json | head -3 | tr -d "\n \"" | grep -qx pfindlast'
check "DSPy loads them, and saves the same" run 0 "$PYTHON" -c 'import p_two_hops as m, traps as t; t.Named().load("named/program.json"); m.program.load("one/program.json"); m.program.save("again.json")'
check "state for state" same one/program.json again.json
before=$(came)
check "threads, tasks and a picture" run 0 "$PROGRAM" compile team.json --out=calm
calm=$(($(came) - before))
before=$(came)
setsid "$PROGRAM" compile team.json --out=killed >/dev/null 2>&1 &
pid=$!
while [ $(($(came) - before)) -lt $((calm / 2)) ]; do sleep .02; done
kill -9 $pid
wait $pid 2>/dev/null
check "nothing is left of a run that was killed" none_left
check "it goes on on 2 ranks" run 0 mpirun --oversubscribe --bind-to none -n 2 "$PROGRAM" compile team.json --out=killed
paid=$(($(came) - before))
check "no answer is asked for twice: $paid calls, $calm and those in flight" [ "$paid" -ge "$calm" -a "$paid" -le $((calm + 8)) ]
check "the same program" same calm/program.json killed/program.json

rm -f traps.imports
cat >traps.json <<END
{"program": {"python": "traps:All", "timeout": 3, "hosts": 1, "memory": 0.3}, "trainset": {"python": "traps:trainset"}, "metric": {"python": "traps:metric"}, "lm": "embedded/stand-in"}
END
check "examples that exit, hang, break down and take all memory" run 0 "$PROGRAM" eval traps.json --split=trainset --out=traps
check "are failures, and no others" [ "$(grep -o '"failed": [0-9]*' out)" = '"failed": 5' ]
check "the first of them is told" said "the first: row 2: sys.exit: the program ends the process ('bye') (traps.py:"
check "so is how much memory there was" grep -q 'MemoryError at traps.py:[0-9]*: the program takes more than the 0.3 GiB' traps/predictions.jsonl
check "the program is imported once, however many processes it takes" [ "$(grep -c . traps.imports)" = 1 ]
check "it says where it hangs" grep -q 'hangs, last at traps.py:[0-9]' err
check "nothing is left" none_left
job bars.json traps:Bars traps:trainset traps:Graded '"seed": 1'
run 0 "$PROGRAM" eval bars.json --split=trainset
check "what threads would make at once is made before" [ "$(grep -o '"failed": [0-9]*' out)" = '"failed": 0' ]
job loop.json traps:AsksForALoop traps:trainset traps:near '"seed": 1'
run 0 "$PROGRAM" eval loop.json --split=trainset
check "an example has an event loop" [ "$(grep -o '"failed": [0-9]*' out)" = '"failed": 0' ]
check "a third argument of a metric's is its own, and what is 1 but for rounding is 1" grep -q '"score": 1.0' out
job meets.json traps:Meets traps:eighteen traps:metric '"seed": 1'
sed -i 's/"traps:Meets"/&, "hosts": 1/; s/"concurrency": 4/"concurrency": 18/' meets.json
run 0 "$PROGRAM" eval meets.json --split=trainset
check "dspy.asyncify has threads for each example" [ "$(grep -o '"failed": [0-9]*' out)" = '"failed": 0' ]
job patient.json traps:Patient traps:trainset traps:metric '"seed": 1'
run 0 "$PROGRAM" eval patient.json --split=trainset --out=patient
check "no clock decides what is asked again" [ "$(grep -c 'asked 1 times' patient/predictions.jsonl)" = 7 ]
job rows.json rows:Rows rows:trainset rows:metric '"optimizer": {"name": "labeled_few_shot"}'
said_of() { "$PYTHON" -c 'import json, sys; print("; ".join(json.loads(r)["outputs"]["said"] for r in open(sys.argv[1]) if r.strip()))' "$1/predictions.jsonl"; }
run 0 "$PROGRAM" eval rows.json --split=trainset --out=rows
check "rows come with their own inputs and objects" [ "$(said_of rows)" = "none, none, 0; none, none, 1; none, none, 2; who, given, none; who, none, none" ]
check "a corpus is not copied for each, but what is small is" [ "$(grep -o '"failed": [0-9]*' out)" = '"failed": 0' ]
sed 's/rows:Rows/rows:Stuck/' rows.json >stuck.json
run 0 "$PROGRAM" eval stuck.json --split=trainset --out=stuck
check "nor where something else cannot be copied" [ "$(said_of stuck)" = "$(said_of rows)" ]
run 0 "$PROGRAM" compile rows.json --out=split
check "what DSPy's data sets mark rows with stays, but for what is drawn" sh -c "grep -q '\"dspy_split\": *\"train\"' split/program.json && ! grep -q dspy_uuid split/program.json"
job seen.json rows:Rows rows:seen rows:metric '"optimizer": {"name": "labeled_few_shot"}'
run 0 "$PROGRAM" compile seen.json --out=seen
check "rows that are given other inputs are other data" eval 'run 73 env ALL_SEEN=1 "$PROGRAM" compile seen.json --out=seen && said "--reuse"'
job dates.json rows:Dated rows:dates rows:metric "$OPTIMIZER, \"valset\": {\"python\": \"rows:dates\"}"
run 0 "$PROGRAM" compile dates.json --out=dates
check "demonstrations have their dates as DSPy's have" sh -c "grep -c '2001-01-01T10:00:00Z' bodies >old && grep 2002-01-01T10:00:00Z bodies | grep -q 2002-01-02T10:00:00Z && ! grep -q 'T10:00:00+00:00' bodies"
check "but for the file, where they are as DSPy saves them" grep -q '"when": "2002-01-01T10:00:00+00:00"' dates/program.json
fails() { # fails CODE PROGRAM METRIC WORDS
	job bad.json "$2" traps:trainset "$3" '"seed": 1'
	run "$1" "$PROGRAM" eval bad.json --split=trainset && said "$4"
}
check "a name that is not there" fails 78 traps:Alls traps:metric "traps has no Alls"
check "a program that needs an argument" fails 78 traps:Needs traps:metric "traps:Needs needs the argument k: give a function"
check "a metric without a number" fails 65 traps:Prints traps:words "the metric returned 'good'"
check "a model that the job does not name, caught or not" fails 65 traps:Renamed traps:metric 'openai/other, which the job does not name'
DSPY_MPI_PYTHON=/usr/bin/false check "a Python that is none" fails 78 traps:Prints traps:metric "could not be started"
job memory.json traps:Remembers traps:trainset traps:metric "$OPTIMIZER"
run 0 "$PROGRAM" plan memory.json
check "a program that is not the same twice" said "it asked p (first difference"
# What is set aside for an example follows from how often it asks: a number that no clock may change, and no second look.
job told.json traps:AsItIsTold traps:trainset traps:metric "$OPTIMIZER"
each() { grep -ao '"calls_each": [0-9.]*' "$1/journal"; }
planned() { "$PROGRAM" plan told.json --out=$1 | grep -o '"calls": {[^}]*}'; }
echo 2 >asks
first=$(planned told)
check "a cap" run 0 "$PROGRAM" compile told.json --out=told --budget.calls=9
echo 5 >asks
check "what a run goes on with is decided as it was" [ -n "$first" -a "$first" = "$(planned told)" ]
check "and anew for another OUT" [ "$(planned other)" != "$first" ]
if [ -n "${BIG:-}" ]; then
	echo 2 >asks
	SLOW=12 check "on a slow machine" run 0 "$PROGRAM" compile told.json --out=slow --budget.calls=9
	check "as much is set aside" [ "$(each slow)" = "$(each told)" -a -n "$(each told)" ]
fi
job gepa.json p_two_hops:program p_two_hops:trainset p_two_hops:on_each '"optimizer": {"name": "gepa", "max_metric_calls": 150}, "valset": {"python": "p_two_hops:trainset"}'
check "GEPA, with a metric of five arguments" run 0 "$PROGRAM" compile gepa.json --out=gepa
check "one that fails there has given its score: $(grep -o 'asked for feedback.*' err | head -1)" eval 'said "asked for feedback on a predictor, the metric failed on 1 example so far: KeyError: " && said "(p_two_hops.py:" && ! grep -q "u001e" bodies && [ "$(json gepa.reflections "$DIR/out")" -gt 0 ]'
check "which is asked about each predictor" sh -c "grep -q 'said on query.0..predict' bodies && grep 'said on answer.predict' bodies | grep -qv 'said on query'"
job chance.json traps:Chance traps:trainset traps:metric "$OPTIMIZER"
run 0 "$PROGRAM" plan chance.json
check "a program that comes to something else" said "it came to other outputs from the same answers (first difference"
# DSPy shows objects as they are while it searches, and takes an example that its teacher failed on out of the teacher's demonstrations
check "searches whose demonstrations hold objects, and whose teacher fails" eval 'DSPY_MPI_PYTHON=$PYTHON run 0 "$HERE/scripts/check-python" --ranks=1,3 --optimizer=bootstrap_few_shot_with_random_search,mipro_v2 --metric=spread "$HERE/tests/python/programs" p16_code p49_values && [ "$(grep -c ^ok out)" = 4 ]'
check "no key in any file" [ -z "$(grep -rl sk-of-nobody . | head -1)" ]
