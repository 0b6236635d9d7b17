# Models of a Python program: classes of its own and providers by DSPy (python/NAME), which the rank lets go, keeps and
# counts; prices of its own models; modules that cannot be forked. DSPY_PYTHON or DSPY_MPI_PYTHON names a Python that has dspy.
LEAKS=0
. tests/lib.sh
plan 29
PYTHON=${DSPY_MPI_PYTHON:-${DSPY_PYTHON:-python3}}
"$PYTHON" -c 'import dspy, sys; sys.exit(tuple(map(int, dspy.__version__.split(".")[:2])) < (3, 4))' 2>/dev/null || {
	skip_all 29 "no dspy 3.4 (DSPY_PYTHON names a Python that has it)"
	exit 0
}
export DSPY_MPI_PYTHON="$PYTHON" HOUSE_API_KEY=sk-of-the-house-0123456789abcdef
cp tests/python/*.py "$DIR"
cd "$DIR" || exit 70
"$PYTHON" server.py port log 2>server.err &
MOCKS="$MOCKS $!"
while [ ! -s port ]; do sleep .05; done
URL=http://127.0.0.1:$(cat port)/v1
job() { # job FILE PROGRAM MORE
	cat >"$1" <<END
{"program": {"python": "$2", "hosts": 2}, "trainset": {"python": "${2%%:*}:trainset"}, "metric": {"python": "traps:metric"},
 "optimizer": {"name": "bootstrap_few_shot", "max_bootstrapped_demos": 6, "max_labeled_demos": 6}, $3}
END
}
state() { "$PYTHON" -c "import json, sys; d = json.load(open(sys.argv[1])); d = d.get('state', d); d.pop('metadata', 0); print(json.dumps(d))" "$1"; }
calls() { grep -c . house; }

job alone.json traps:OwnGateway '"lm": "embedded/stand-in"'
check "where no model is called, none of the program's own is" eval 'run 0 "$PROGRAM" plan alone.json && [ ! -e house ]'
job own.json traps:OwnGateway '"lm": "embedded/stand-in", "lms": {"house": {"model": "python/house", "concurrency": 2}}'
check "a class of the program's own" run 0 "$PROGRAM" compile own.json --out=own
check "each call is the rank's, and counted: $(calls) of $(json calls out)" [ "$(calls)" = 6 -a "$(json calls out)" = 12 ]
check "at a cap" run 0 "$PROGRAM" compile own.json --out=capped --budget.calls=7
check "no more than it: $(calls) in all" [ "$(calls)" -gt 6 -a "$(calls)" -le 9 ]
rm house
echo 3 >down
# one process, so that it is down after three for certain
sed 's/"hosts": 2/"hosts": 1/; s/"embedded\/stand-in"/{"model": "embedded\/stand-in", "outage": 3}/; s/"concurrency": 2/"concurrency": 2, "outage": 3/' own.json >one.json
check "an outage of it" run 75 "$PROGRAM" compile one.json --out=later
check "is no answer to the program" [ "$(json status out)" = stopped ]
check "after three" [ "$(calls)" = 3 ]
rm down
check "and it goes on on 2 ranks when that is over" run 0 mpirun --oversubscribe --bind-to none -n 2 "$PROGRAM" compile one.json --out=later
check "nothing is asked for twice: $(calls) in all" [ "$(calls)" = 6 ]
check "the same program" [ "$(state own/program.json)" = "$(state later/program.json)" ]
job native.json p_two_hops:program '"lm": {"model": "python/openai/task"}' # no program in Python
sed -i 's/"program": {[^}]*}/"program": {"predict": "question -> answer"}/; s/"trainset": {[^}]*}/"trainset": "x.jsonl"/' native.json
check "for a program of another kind there is none such" run 78 "$PROGRAM" compile native.json --out=native
check "it is said" said "give a program such as"

job dspys.json p_two_hops:program "\"lm\": {\"model\": \"python/openai/task\", \"api_base\": \"$URL\", \"concurrency\": 4, \"api_key_env\": \"HOUSE_API_KEY\"}"
sed 's/"python\/openai/"openai/' dspys.json >ranks.json
check "a provider by DSPy's own client" run 0 "$PROGRAM" compile dspys.json --out=dspys
check "its key goes with the request" [ "$(tail -1 log.keys)" = "$(printf 'Bearer %s' "$HOUSE_API_KEY" | sha256sum | cut -d' ' -f1)" ]
check "it is said" said "told its key for that"
check "the rank's own client" run 0 "$PROGRAM" compile ranks.json --out=ranks
check "the same program" [ "$(state dspys/program.json)" = "$(state ranks/program.json)" ]
check "no key in any file" [ -z "$(grep -rl sk-of-the-house . | head -1)" ]

# A committee of such programs votes on what forward gives last, as DSPy does; show prints the Python that loads it.
cat >labels.py <<'END'
from p_two_hops import *
class Labels(TwoHops):
    def forward(self, question):
        answer = super().forward(question).answer
        return dspy.Prediction(answer=answer, label="xyz"[sum(map(ord, answer)) % 3])
def metric(example, prediction, trace=None): return prediction.label != "x"
valset = [dspy.Example(question=f"Where is thing {i}?", answer="a").with_inputs("question") for i in range(100, 132)]
END
cat >labels.json <<END
{"program": {"python": "labels:Labels"}, "trainset": {"python": "labels:trainset"}, "valset": {"python": "labels:valset"}, "metric": {"python": "labels:metric"},
 "lm": {"model": "openai/task", "api_base": "$URL"}, "optimizer": {"name": "ensemble", "k": 2, "guard": false,
 "of": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 1, "max_labeled_demos": 2, "max_bootstrapped_demos": 2}}}
END
check "a committee of programs in Python" run 0 "$PROGRAM" compile labels.json --out=labels
check "votes on the last output of forward" said "exact on label"
"$PROGRAM" show labels/ensemble.json --job labels.json | sed '1,/in Python$/d' >loads.py
echo 'print(len(ensemble.programs), len({id(p) for m in ensemble.programs for p in m.predictors()}))' >>loads.py
check "and DSPy loads it" sh -c "'$PYTHON' loads.py 2>loads.err | grep -qx '\([0-9]*\) [0-9]*'"

# A predictor's own model, with what a gateway and a cloud take: DSPy leaves out api_key alone.
cat >gateway.py <<END
from p_two_hops import *
gated = program.deepcopy()
lm = dspy.LM("openai/own", api_base="$URL", api_key="sk-secret-0", extra_headers={"X-Gate": "sk-secret-1"}, max_tokens=50,
             extra_body={"aws_session_token": "sk-secret-2", "top_k": 3}, headers={"Authorization": "sk-secret-3"}, azure_password="sk-secret-4")
gated.predictors()[0].set_lm(lm)
END
job gateway.json gateway:gated "\"lm\": {\"model\": \"openai/task\", \"api_base\": \"$URL\"}, \"lms\": {\"own\": {\"model\": \"openai/own\", \"api_base\": \"$URL\", \"max_tokens\": 50}}"
check "a model with keys in headers and elsewhere" run 0 "$PROGRAM" compile gateway.json --out=gateway
check "none of them in any file, and the rest of it is" eval '! grep -rl sk-secret --exclude=gateway.py --exclude="*.pyc" . && grep -rq "\"top_k\": 3" gateway'

other="\"lms\": {\"own\": {\"model\": \"openai/other\", \"api_base\": \"$URL\", \"max_tokens\": 50"
job price.json traps:OtherModel "\"lm\": {\"model\": \"openai/task\", \"api_base\": \"$URL\", \"max_tokens\": 40, \"price\": {\"prompt\": 1, \"completion\": 2}}, $other}}"
check "a cap in money with a model without a price" run 78 "$PROGRAM" compile price.json --out=price '--budget.cost=$1'
check "is refused, with its name" said "openai/other has no price here"
job price.json traps:OtherModel "\"lm\": {\"model\": \"openai/task\", \"api_base\": \"$URL\", \"max_tokens\": 40, \"price\": {\"prompt\": 1, \"completion\": 2}}, $other, \"price\": {\"prompt\": 10, \"completion\": 30}}}"
run 0 "$PROGRAM" compile price.json --out=price '--budget.cost=$1' # 6 calls of 100 and 20 tokens
check "with one it is counted at that: $(json cost out)" awk -v c="$(json cost out)" 'BEGIN { exit !(c > .0095 && c < .0097) }'

job threaded.json threaded:Asks '"lm": "embedded/stand-in"'
run 0 "$PROGRAM" eval threaded.json --split=trainset --out=threaded
check "a module that starts threads is not forked" said "starts threads when it is imported"
check "and each of its examples is answered" [ "$(grep -o '"failed": [0-9]*' out)" = '"failed": 0' -a "$(grep -c . imports)" -ge 1 ]
