# Whose fault it is that an example of a Python program has no score; and that an outage is no answer to it.
# DSPY_PYTHON or DSPY_MPI_PYTHON names a Python that has dspy.
LEAKS=0
. tests/lib.sh
plan 24
PYTHON=${DSPY_MPI_PYTHON:-${DSPY_PYTHON:-python3}}
"$PYTHON" -c 'import dspy, sys; sys.exit(tuple(map(int, dspy.__version__.split(".")[:2])) < (3, 4))' 2>/dev/null || {
	skip_all 24 "no dspy 3.4 (DSPY_PYTHON names a Python that has it)"
	exit 0
}
export DSPY_MPI_PYTHON="$PYTHON"
cp tests/python/*.py "$DIR"
cd "$DIR" || exit 70
"$PYTHON" server.py port log 2>server.err &
MOCKS="$MOCKS $!"
while [ ! -s port ]; do sleep .05; done
URL=http://127.0.0.1:$(cat port)/v1
job() { # job FILE PROGRAM TRAINSET
	cat >"$1" <<END
{"program": {"python": "kinds:$2", "hosts": 1}, "trainset": {"python": "kinds:$3"}, "metric": {"python": "kinds:metric"}, "max_errors": 99,
 "lm": {"model": "openai/task", "api_base": "$URL", "concurrency": 4}}
END
}
row() { sed -n "${1}p" kinds/predictions.jsonl; } # of the training set, in its order
is() { # is ROW CLASS WORDS
	row "$1" | grep -q "\"error\": \"$2\"" && row "$1" | grep -q "$3"
}
job kinds.json Kinds trainset
run 0 "$PROGRAM" eval kinds.json --split=trainset --out=kinds
check "an answer" [ "$(row 1 | grep -c '"error": null')" = 1 ]
check "program: what forward raises, with its line" is 2 program 'ValueError: not this one (kinds.py:[0-9]*)'
check "parse: an answer without its fields" is 3 parse .
check "exit: the program ends the process" is 4 program 'sys.exit'
check "output: more than a message holds" is 5 program 'MiB in one message'
check "too long for the model" is 6 context_overflow 'too long'
check "filtered" is 7 content_filter 'content filter'
check "refused" is 8 refused 'something about this request'
check "metric: what it raises, with its line" is 9 metric 'KeyError.*kinds.py:[0-9]*'
check "no other failed" [ "$(grep -o '"failed": [0-9]*' out)" = '"failed": 8' ]

job lacks.json Lacks downset
sed -i "s|^{|{\"optimizer\": {\"name\": \"bootstrap_few_shot\"}, |" lacks.json
run 65 "$PROGRAM" compile lacks.json --out=lacks
check "a compilation of which every example fails says why" [ $rc = 65 -a "$(grep -c 'the first: .*RuntimeError: there is no Deno: install it (kinds.py:[0-9]*)' err)" = 1 ]

job swallows.json Swallows trainset
run 0 "$PROGRAM" eval swallows.json --split=trainset --out=swallows
check "errors that a program catches are counted" said "went on after a model had refused a request of the program"
job down.json Swallows downset
touch log.down
"$PROGRAM" eval down.json --split=trainset --out=down >down.out 2>down.err &
pid=$!
while [ ! -s log.refused ] && kill -0 $pid 2>/dev/null; do sleep .02; done
rm log.down
wait $pid
check "a server that is down for a while" [ $? = 0 -a -s log.refused ]
check "is no answer to the program" [ "$(grep -c '"score": 1' down/predictions.jsonl)" = 3 -a "$(grep -c swallowed down/predictions.jsonl)" = 0 ]
touch log.down
run 69 "$PROGRAM" eval down.json --split=trainset --out=gone --lm.num_retries=0 --lm.outage=1s
check "one that stays down" [ $rc = 69 -o $rc = 75 ]
check "neither" [ "$(cat gone/predictions.jsonl 2>/dev/null | grep -c swallowed)" = 0 ]

of() { # of FILE METRIC: a compilation of traps.py's program that prints
	cat >"$1" <<END
{"program": {"python": "traps:Prints", "hosts": 1}, "trainset": {"python": "traps:trainset"}, "metric": {"python": "traps:$2"},
 "lm": {"model": "openai/task", "api_base": "$URL", "concurrency": 4}, "optimizer": {"name": "bootstrap_few_shot"}}
END
}
of broken.json broken
before=$(wc -l <log)
check "check tries the metric on made-up answers: 65" run 65 "$PROGRAM" check broken.json
check "with its line" said "the metric failed on each of 3 examples that were tried with made-up answers: AttributeError: 'Prediction' object has no attribute 'nothing' (traps.py:"
check "and asks nothing" [ "$(wc -l <log)" = "$before" ]
of percents.json percents
check "scores above 1 end a search that takes scores from 0 to 1" eval 'run 65 "$PROGRAM" compile percents.json --optimizer=mipro_v2 --out=percents && said "the metric returned 100; this search takes scores from 0 to 1: scale them in the metric"'
check "DSPy's own take any" eval 'run 0 "$PROGRAM" compile percents.json --optimizer=mipro_v2 --optimizer.search=mipro --out=any && grep -q "\"score\": 100.0" out'
of prints.json metric
check "what the program prints is shown" eval 'run 0 "$PROGRAM" compile prints.json --out=prints && said "the program prints: "'
sed 's/Prints/Several/' prints.json >several.json
before=$(wc -l <log)
run 0 "$PROGRAM" eval several.json --split=trainset --out=several
check "completions that a server leaves out are asked for" [ "$(grep -c '"answer": "3 completions"' several/predictions.jsonl)" = "$(grep -c . several/predictions.jsonl)" ]
check "one by one" [ $(($(wc -l <log) - before)) = $((3 * $(grep -c . several/predictions.jsonl))) ]
