# scripts/from-dspy against the real DSPy: the job file asks a model what the program itself asks, byte for
# byte, and what it cannot say is named. Needs a Python with dspy in DSPY_PYTHON.
. tests/lib.sh
plan 40
if [ -z "${DSPY_PYTHON:-}" ]; then
	skip_all 40 "set DSPY_PYTHON to a Python that has dspy"
	exit 0
fi
FROM=$PWD/scripts/from-dspy BODIES=$PWD/tests/dspy/bodies.py
cat >"$DIR/progs.py" <<'END'
import os
from typing import Literal, Optional
import dspy, pydantic

class Topic(dspy.Signature):
    """Say what it is about.

    Be "brief"."""
    message: str = dspy.InputField(desc="what the customer wrote")
    topic: Literal["refund", "it's late"] = dspy.OutputField()
    urgency: int = dspy.OutputField(ge=1, le=5, desc="1 to 5")
    words: list[str] = dspy.OutputField()
    note: Optional[str] = dspy.OutputField()

class Line(dspy.Module):
    def __init__(self):
        super().__init__()
        self.query = dspy.ChainOfThought("question -> query")
        self.answer = dspy.Predict("question, query -> answer: str")
    def forward(self, question):
        query = self.query(question=question).query
        return dspy.Prediction(answer=self.answer(question=question, query=query).answer)

class Loop(Line):
    def forward(self, question):
        for _ in range(2): q = self.query(question=question)
        return self.answer(question=question, query=q.query)
class Renamed(Line):
    def __init__(self):
        super().__init__()
        self.answer = dspy.Predict("question, context -> answer")
    def forward(self, question):
        return self.answer(question=question, context=self.query(question=question).query)
class Between(Line):
    def forward(self, question):
        return self.answer(question=question, query=self.query(question=question).query.upper())
class Returns(Line):
    def forward(self, question):
        q = self.query(question=question)
        return dspy.Prediction(query=q.query, answer=self.answer(question=question, query=q.query).answer)
class Inner(dspy.Module):
    def __init__(self):
        super().__init__()
        self.line = Line()
    def forward(self, question): return self.line(question=question)
class Thing(pydantic.BaseModel):
    x: int
class Later(dspy.Module):
    def __init__(self):
        super().__init__()
        self.query = dspy.Predict("question -> answer")
    async def aforward(self, question): return await self.query.acall(question=question)
class House(dspy.BaseLM):
    def forward(self, prompt=None, messages=None, **kwargs): return None
class Typed(dspy.Signature):
    question: str = dspy.InputField()
    answer: Thing = dspy.OutputField()

typed, cot, line = dspy.Predict(Topic), dspy.ChainOfThought("question -> answer"), Line()
demos = dspy.LabeledFewShot(k=3).compile(dspy.Predict("question -> answer"), trainset=[dspy.Example(question=f"q{i}", answer=f"a{i}").with_inputs("question") for i in range(5)])
loop, renamed, between, returns, inner, own_type = Loop(), Renamed(), Between(), Returns(), Inner(), dspy.Predict(Typed)
react = dspy.ReAct("question -> answer", tools=[len])
later, house, completes = Later(), Line(), Line()
house.set_lm(House("house"))
completes.set_lm(dspy.LM("openai/any", model_type="text"))
questions = [dspy.Example(question=f"item {i}: what is its label? ü", answer="red").with_inputs("question") for i in range(6)]
messages = [dspy.Example(message=f"Where is parcel {i}?", topic="it's late", urgency=3, words=["a"], note=None).with_inputs("message") for i in range(4)]
def metric(example, prediction, trace=None): return example.answer == prediction.answer
def topics(example, prediction, trace=None): return example.topic == prediction.topic
dspy.configure(lm=dspy.LM("openai/any", api_base=os.environ.get("SERVER", "http://127.0.0.1:9/v1"), api_key="sk-not-in-a-file", temperature=0.5, max_tokens=77, cache=False))
END
cat >"$DIR/ask.py" <<'END'
import sys, dspy, progs
program, examples = getattr(progs, sys.argv[1]), getattr(progs, sys.argv[2])
for e in examples:
    try: program(**e.inputs())
    except Exception: pass
END
cd "$DIR" || exit 70
# What was asked, in order of the text, as DSPy and ours may ask in another order; without the query that the
# first step answered, as the mock's answers hang on the body's other keys too.
bodies() {
	python3 -c 'import json, re, sys
print("\n".join(sorted(re.sub(r"(\[\[ ## query ## \]\]\\n)[a-z]+", r"\1", json.dumps([r["body"][k] for k in ("messages", "temperature", "model")] + [r["body"].get("max_tokens") or r["body"]["max_completion_tokens"]])) for r in map(json.loads, open(sys.argv[1])))))' "$1"
}
for what in typed:messages cot:questions line:questions demos:questions; do
	name=${what%:*} set=${what#*:} metric=""
	[ $name = typed ] && metric="--metric progs:topics"
	# shellcheck disable=SC2086
	check "$name is written" run 0 "$DSPY_PYTHON" "$FROM" progs:$name progs:$set $metric --out "$name"
	check "$name passes check" run 0 "$PROGRAM" check "$name/job.json"
	(cd - >/dev/null && start_mock --rule planted --seed 3 --record "$DIR/$name.theirs" && SERVER=$MOCK_URL PYTHONPATH=$DIR "$DSPY_PYTHON" "$DIR/ask.py" $name $set >"$DIR/err" 2>&1; stop_mock)
	(cd - >/dev/null && start_mock --rule planted --seed 3 --record "$DIR/$name.ours" && "$PROGRAM" eval "$DIR/$name/job.json" --split=trainset --lm.api_base="$MOCK_URL" >"$DIR/out" 2>"$DIR/err"; stop_mock)
	bodies $name.theirs >theirs && bodies $name.ours >ours
	check "$name asks what DSPy asks ($(wc -l <ours) calls)" sh -c "[ -s ours ] && cmp ours theirs"
done
check "no key is written" sh -c "! grep -rq sk-not-in-a-file --include=*.json* ."
cannot() { # cannot NAME WORDS
	as_it_is="; or run it as it is: \"program\": {\"python\": \"progs:$1\"}"
	if run 65 "$DSPY_PYTHON" "$FROM" "progs:$1" progs:questions --out "no-$1" && said "$2" && [ ! -e "no-$1" ] && tail -1 err | grep -qF "$as_it_is"; then
		ok "$1: $(tail -1 err | cut -c1-160)"
	else not_ok "$1 is refused with \"$2\"" err out; fi
}
cannot loop "the program calls query.predict, query.predict, answer, where"
cannot renamed "its input context is no input of the program and no output of an earlier step"
cannot between "query=self.query(question=question).query.upper())\`: answer: its input query is not what the field query held: Python of your own works on it"
cannot returns "the program returns query"
cannot inner "steps are attributes of the program itself"
cannot own_type "the type Thing has no name"
cannot react "the program is a ReAct; a job file has predict and chain_of_thought"
cannot later "async def aforward(self, question)"
cannot house "its model is of a class of its own (House)"
cannot completes "its model is asked in another way than by chat (model_type='text')"

# Files for modules, classes and functions for what they make, and what is no program.
mkdir -p in/a
cat >in/a/here.py <<'END'
from progs import *
def examples(): return questions
def needs(path): return line
def metric(example, pred, trace=None): return True
number = 3
END
check "a file, a class of it, a function for the examples, a metric in a file" run 0 env PYTHONPATH=. "$DSPY_PYTHON" "$FROM" in/a/here.py:Line in/a/here.py:examples --metric in/a/here.py:metric --out files
check "the metric is named by its file" grep -q "in/a/here.py:metric" files/job.json
refused() { # refused WORDS PROGRAM [EXAMPLES]
	run 65 env PYTHONPATH=. "$DSPY_PYTHON" "$FROM" "$2" "${3:-progs:questions}" --out no-files && said "$1" && [ "$(grep -c . err)" = 1 ] && [ ! -e no-files ]
}
check "a name that is almost there" refused "in/a/here.py has no lines; did you mean line?" in/a/here.py:lines
check "no file, no such module, a number, a function with arguments" eval 'refused "there is no file none.py" none.py:x && refused "No module named" none:x && refused "is a int, not a DSPy module" in/a/here.py:number && refused "needs the argument path" in/a/here.py:needs'
printf 'a,b\n' >table.csv
printf 'x = (\n' >unclosed.py
printf 'import dspy\nunknown(1)\n' >raises.py
check "a table, code that does not parse, code that raises" eval 'refused "table.csv is a file: give a list of dspy.Example" progs:line table.csv && refused "unclosed.py, line 1" unclosed.py:x && refused "raises.py:2: NameError" raises.py:x'

# What a job has, by DSPy's names: providers with their keys, and adapters.
cat >has.py <<'END'
import dspy
azure, claude, xml = (dspy.Predict("question -> answer") for _ in range(3))
azure.lm = dspy.LM("azure/deployment", api_base="https://x.openai.azure.com", api_key="sk-not-in-a-file", api_version="2024-10-21")
claude.lm = dspy.LM("anthropic/claude-sonnet-4-6", api_key="sk-not-in-a-file")
dspy.configure(adapter=dspy.XMLAdapter() if hasattr(dspy, "XMLAdapter") else dspy.adapters.XMLAdapter())
questions = [dspy.Example(question="q", answer="a").with_inputs("question")]
END
run 0 "$DSPY_PYTHON" "$FROM" has:azure has:questions --out azure
check "azure: its version goes along, its key is named" sh -c "grep -q '\"api_version\": \"2024-10-21\"' azure/job.json && grep -q 'taken from AZURE_API_KEY' err && ! grep -q 'dspy-mpi has' err"
run 0 "$DSPY_PYTHON" "$FROM" has:claude has:questions --out claude
check "anthropic: its key is named" sh -c "grep -q 'taken from ANTHROPIC_API_KEY' err && ! grep -q 'dspy-mpi has' err"
printf 'from progs import *\ndspy.configure(adapter=dspy.ChatAdapter(use_json_adapter_fallback=False))\n' >strict.py
run 65 "$DSPY_PYTHON" "$FROM" strict:line strict:questions --out strict
check "an adapter with settings of its own" said "the adapter's use_json_adapter_fallback is False; a job has DSPy's own, True; or run it as it is: \"program\": {\"python\": \"strict:line\"}"
check "the XML adapter" grep -q '"adapter": "xml"' claude/job.json

# What Python of one's own may do between the steps, before the first and after the last.
check "bodies of forward" run 0 "$DSPY_PYTHON" "$BODIES" "$FROM"
tail -1 "$DIR/out" | sed 's/^/# /'
# A module that calls its model as it is loaded; from-dspy calls nobody's.
cd - >/dev/null && start_mock --rule planted --seed 3
cd "$DIR" || exit 70
printf 'from progs import *\nprint(line(question="asked as it is loaded"))\n' >loads.py
run 65 env SERVER="$MOCK_URL" "$DSPY_PYTHON" "$FROM" loads:line progs:questions --out no-loads
check "a module that calls its model as it is loaded: $(tail -1 err | cut -c1-150)" said "loads.py:2: \`print(line(question=\"asked as it is loaded\"))\`: it calls a model as it is loaded"
run 0 env SERVER="$MOCK_URL" "$DSPY_PYTHON" "$FROM" progs:line progs:questions --out line
check "from-dspy has called no model" [ "$(stat_of requests)" = 0 ]
stop_mock

# There and back: compiled here from that job, used there.
cd - >/dev/null || exit 70
start_mock --rule planted --seed 3
cd "$DIR" || exit 70
check "the line compiles" run 0 "$PROGRAM" compile line/job.json --lm.api_base="$MOCK_URL"
cat >use.py <<'END'
import dspy, progs
progs.line.load("line/job/program.json")
print(len(progs.line.answer.demos), repr(progs.line(question=progs.questions[0].question).answer))
END
check "and is used from DSPy" sh -c "SERVER=$MOCK_URL '$DSPY_PYTHON' use.py >out 2>err && ! grep -i warn err | grep -qv model_metadata && grep -q \"^[1-9]\" out"
run 0 "$DSPY_PYTHON" "$FROM" progs:demos progs:questions --out demos
check "demonstrations go along" grep -q '"student": "student.json"' demos/job.json
run 0 "$DSPY_PYTHON" "$FROM" progs:cot progs:questions --metric progs:metric --out cot
check "one's own metric" run 0 "$PROGRAM" check cot/job.json
check "is found and tried" grep -qx "metric    command" out
