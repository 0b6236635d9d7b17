# The prompt of a compiled program without DSPy: for 20 inputs full of braces, quotes, line ends and what not, what the
# exported prompt gives is what `run` sends. Rendered by jinja2, if DSPY_PYTHON or python3 has it.
. tests/lib.sh
plan 29
RENDER=$PWD/tests/render.py PYTHON=""
for each in "${DSPY_PYTHON:-}" python3; do
	[ -n "$PYTHON" ] || { [ -n "$each" ] && "$each" -c "import jinja2" 2>/dev/null && PYTHON=$each; }
done
start_mock --rule planted --seed 3 --record "$DIR/sent"
python3 - "$DIR" <<'END'
import json, sys
texts = ["plain", "{{ question }}", "{% raw %}", "{% endraw %}", "{# note #}", "{", "}", "{{", "}}", "{{{x}}}", "a \"quoted\" 'text'", "two\nlines\n",
         "\ttab\r\nand CR", "back\\slash \\n \\u0041", "ü 漢字 🙂 \u2028", "<b>&amp;</b>", "{%- if x -%}", "{'a': {1: {2: 3}}}", "100 % {} %s", "[[ ## question ## ]]"]
with open(sys.argv[1] + "/in.jsonl", "w") as f:
    for t in texts: f.write(json.dumps({"question": t}) + "\n")
with open(sys.argv[1] + "/train.jsonl", "w") as f:
    for t in texts: f.write(json.dumps({"question": "train " + t, "query": "q" + t, "answer": "label " + t}) + "\n")
END
cd "$DIR" || exit 70
job() { # job NAME PROGRAM [ADAPTER]
	cat >"$1.json" <<EOF
{"program": $2, "trainset": "train.jsonl", "metric": {"name": "exact_match", "field": "answer"}, "inputs": ["question"], "adapter": "${3:-chat}",
 "optimizer": {"name": "labeled_few_shot", "k": 20}, "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "temperature": 0.5, "max_tokens": 50}}
EOF
	run 0 "$PROGRAM" compile "$1.json"
}
one='{"predict": {"signature": "question -> answer", "instructions": "Say {{ it }} in {one} word. {% if %} {# #} {"}}'
two='{"steps": [{"name": "query", "predict": "question -> query"}, {"name": "answer", "predict": "question, query -> answer"}]}'
rendered() { # rendered NAME FORMAT PROGRAM INPUTS [STEP]
	if [ -z "$PYTHON" ]; then
		skip "no Python with jinja2: pip install jinja2"
	else
		run 0 "$PROGRAM" export "$3" --format "$2" && mv out exported
		check "$1" run 0 "$PYTHON" "$RENDER" "$2" exported "$4" sent ${5:+"$5"}
		sed 's/^/# /' out
	fi
}
for adapter in chat json xml; do
	job $adapter "$one" $adapter
		run 0 "$PROGRAM" run $adapter/program.json --job=$adapter.json --inputs in.jsonl
	[ $adapter = chat ] && formats="messages jinja promptfoo" || formats="jinja promptfoo"
	for format in $formats; do rendered "$adapter adapter, $format" $format $adapter/program.json in.jsonl; done
done
run 0 "$PROGRAM" run --job=chat.json --inputs in.jsonl
rendered "the program as the job has it" jinja chat.json in.jsonl

# Several steps: a prompt for each. What the second one was asked with stands in what was sent.
job two "$two"
check "run of an OUT" run 0 "$PROGRAM" run two --job=two.json --inputs in.jsonl
rendered "the first of two steps, from OUT" jinja two in.jsonl query
rendered "the first of two steps" promptfoo two/program.json in.jsonl query
rendered "the first of two steps" messages two/program.json in.jsonl query
python3 - <<'END'
import json, re
with open("two.jsonl", "w") as f:
    for line in open("sent"):
        last = json.loads(line)["body"]["messages"][-1]["content"]
        got = re.fullmatch(r"\[\[ ## question ## ]]\n(.*)\n\n\[\[ ## query ## ]]\n(.*)\n\nRespond with .*", last, re.S)
        if got: f.write(json.dumps({"question": got[1], "query": got[2]}) + "\n")
END
check "the second step was asked 20 times" [ "$(wc -l <two.jsonl)" = 20 ]
rendered "the second of two steps" jinja two/program.json two.jsonl answer
check "--step names one" run 0 "$PROGRAM" export two --step answer
check "which is the array of its messages" grep -q '^\[$' out
check "a step that is not there" sh -c "! '$PROGRAM' export two --step=anser 2>err && grep -q 'no step \"anser\"; did you mean answer?' err"

# Numbers and texts of other types are written as they are; lists and objects are given as JSON, and that is said.
cat >typed.json <<END
{"program": {"predict": "n: int, b: bool, x: float, words: list[str], d: Optional[dict[str, int]], o: Optional[str] -> answer"}, "adapter": "chat",
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL"}}
END
echo '{"n": 3, "b": true, "x": 1.50, "words": ["a", "ü {{"], "d": {"z": 1, "a": 2}, "o": null}' >typed.jsonl
run 0 "$PROGRAM" run typed.json --inputs typed.jsonl
sed 's/\["a", "ü {{"\]/"[\\"a\\", \\"ü {{\\"]"/; s/{"z": 1, "a": 2}/"{\\"z\\": 1, \\"a\\": 2}"/' typed.jsonl >texts.jsonl
rendered "inputs that are no texts" jinja typed.json texts.jsonl
run 0 "$PROGRAM" export typed.json
check "lists and objects are to be given as JSON" sh -c "[ \$(grep -c 'as text, in JSON' err) = 2 ] && grep -q '\"words\"' err && grep -q '\"d\"' err"

# Text, for people, and what is refused.
check "text" run 0 "$PROGRAM" export chat --format text
check "has roles, demonstrations and places" sh -c "grep -q '^--- system$' out && grep -q '^train plain$' out && grep -q '^{{ question }}$' out"
check "messages is the default" sh -c "'$PROGRAM' export chat >a && '$PROGRAM' export chat --format=messages >b && cmp a b && [ -s a ]"
check "no key and no address of a server is read or written" sh -c "'$PROGRAM' export chat --format promptfoo >out && ! grep -q '$MOCK_URL' out"
check "promptfoo has the job's model, where it is" sh -c "'$PROGRAM' export --job chat.json --format promptfoo >out && grep -qF '\"providers\": [{\"id\": \"openai:chat:any\", \"config\": {\"apiBaseUrl\": \"$MOCK_URL\", \"temperature\": 0.5, \"max_tokens\": 50}}]' out"
"$PROGRAM" ensemble chat/program.json chat/program.json >both.json 2>err
check "an ensemble" sh -c "'$PROGRAM' export both.json 2>err; [ \$? = 64 ] && grep -q 'give the file of a member' err"
check "a format that is none" sh -c "'$PROGRAM' export chat --format yinja 2>err; [ \$? = 64 ] && grep -q 'did you mean jinja?' err"
check "no program" sh -c "'$PROGRAM' export 2>err; [ \$? = 64 ] && grep -q 'a program is missing' err"
check "a folder that is no OUT" sh -c "mkdir empty; '$PROGRAM' export empty 2>err; [ \$? = 65 ] && grep -q 'no OUT of a compile' err"
check "export on a full disk is no success" sh -c "'$PROGRAM' export chat >/dev/full 2>err; [ \$? = 73 ]"
