# Bad input gets one clear sentence - what, where, what to do - and a documented exit code.
. tests/lib.sh
cd "$DIR" || exit 70
good='{"question": "1+1", "answer": "2"}'
printf '%s\n%s\n%s\n' "$good" '{"question": "2+2", "answer": "4"}' '{"question": "3+3", "answer": "6"}' >train.jsonl
job() { printf '{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "metric": "answer_exact_match", "optimizer": "labeled_few_shot", "lm": "embedded/stand-in", "out": "o"%s}' "$1" >job.json; }
bad() { # bad NAME CODE WORDS [COMMAND...]
	name=$1 code=$2 words=$3
	shift 3
	[ $# -gt 0 ] || set -- compile job.json
	if run "$code" "$PROGRAM" "$@" && said "$words" && [ "$(wc -l <err)" -le 2 ]; then
		ok "$name: $(head -1 err | cut -c1-160)"
	else
		not_ok "$name (wanted $code and \"$words\")" err out
	fi
}
plan 53
job ', "metrc": "f1"'
bad "unknown key" 78 'did you mean "metric"'
job ', "seed": "three"'
bad "wrong type" 78 "job.json:1:"
bad "missing job file" 78 "No such file" compile nothing.json
printf '{"program": ' >job.json
bad "half a job file" 78 "job.json:1:"
job ', "optimizer": {"name": "bootstrap_few_shot", "max_round": 2}'
bad "unknown parameter" 78 'max_rounds'
job ', "optimizer": {"name": "labeled_few_shot", "max_rounds": 2}'
bad "another optimizer's parameter" 78 "max_rounds"
job ', "optimizer": "bootstrap"'
bad "unknown optimizer" 78 "bootstrap_few_shot"
job ', "lm": "opena/gpt-4o"'
bad "unknown provider" 78 'did you mean "openai"'
job ', "lm": "gpt-4o"'
bad "model without a provider" 78 "provider/name"
job ', "lm": {"model": "openai/gpt-4o", "temprature": 0}'
bad "unknown key of a model" 78 "temperature"
job ', "metric": "exact_mach"'
bad "unknown metric" 78 "exact_match"
job ', "metric": {"name": "f1", "field": "label"}'
bad "metric on a field that is none" 78 "label"
job ', "metric": {"name": "regex", "pattern": "(", "field": "answer"}'
bad "wrong pattern" 78 "pattern"
job ', "inputs": ["text"]'
bad "inputs without the program's" 78 "question"
job ', "program": {"predict": "question, -> "}'
bad "signature without output" 78 "output"
job ', "program": {"predict": "question answer"}'
bad "signature without ->" 78 "exactly one ->"
job ', "program": {"predict": "question -> answer: strr"}'
bad "unknown type" 78 "unknown type strr"
job ', "program": {"predict": "question: int int -> answer"}'
bad "syntax error in a signature" 78 "<here>"
job ', "program": {"predict": "from -> answer"}'
bad "a field named by a keyword" 78 "cannot be a field"
job ', "program": {"predict": "question -> question"}'
bad "one name on both sides" 78 "both an input and an output"
job ', "seed": null'
bad "null" 78 "not null"
job ', "trainset": ""'
bad "empty path" 78 "trainset: the path of a file or folder, not an empty text"
job ', "out": ""'
bad "empty out" 78 "out: the path of a folder, not an empty text"
job ""
bad "empty out as a flag, as of a variable that is not set" 64 "--out: the path of a folder" compile job.json --out=
job ', "lm": null'
bad "a model that is none" 78 'a model, such as "openai/'
job ', "lm": "groq/llama"'
bad "a provider that is not spoken" 78 '"openai/llama", "api_base": "https://api.groq.com/openai/v1", "api_key_env": "GROQ_API_KEY"'
job ', "lm": "bedrock/x"'
bad "one that DSPy alone speaks" 78 '"python/bedrock/x"'
job ', "adapter": "xlm"'
bad "unknown adapter" 78 '"chat", "json" or "xml", not "xlm"'
job ', "trainset": "none.jsonl"'
bad "missing data" 65 "none.jsonl: cannot be opened"
job ', "valset_size": 3'
bad "no example left to train on" 78 "leave none"
job ', "out": "${NOT_SET_ANYWHERE}/o"'
bad "variable that is not set" 78 "NOT_SET_ANYWHERE"
job ', "budget": {"call": 3}'
bad "unknown cap" 78 "calls"
job ""
data() { printf "$1" >train.jsonl; }
data '{"question": "1"\n'
bad "broken line" 65 "train.jsonl:1:"
data '{"question": "1", "answer": "2"} x\n'
bad "text behind an object" 65 "train.jsonl:1:"
data '["a"]\n'
bad "line that is no object" 65 "train.jsonl:1:"
data '{"question": "a\377", "answer": "b"}\n'
bad "invalid UTF-8" 65 "train.jsonl:1:16: byte 0xff"
data ''
bad "empty data" 65 "no example"
data '{"text": "1", "answer": "2"}\n'
bad "wrong column" 65 'no column "question"; it has text, answer'
data '{"question": "1", "label": "2"}\n'
bad "no label" 65 'no column "answer"'
printf 'question,answer\n"1,2\n' >train.csv
job ', "trainset": "train.csv"'
bad "cell that does not end" 65 "train.csv:2"
printf 'question,answer\n1,2,3\n' >train.csv
bad "too many cells" 65 "train.csv:2: 3 cells"
printf 'question,question\n1,2\n' >train.csv
bad "two columns of one name" 65 'called "question"'
printf '%s\n' "$good" >train.jsonl
job ""
bad "unknown flag" 64 "did you mean --seed" compile job.json --sed=3
bad "unknown command" 64 'no command "compil"' compil job.json
bad "switch with a value" 64 "takes no value" compile job.json --fresh=yes
bad "no value for launch's own option" 64 "launch: -n needs a value" launch -n
bad "nor for one of mpirun's" 64 "launch: --hostfile needs a value" launch -n 2 --hostfile=
bad "a hostfile that is not there" 64 "launch: --hostfile nowhere: No such file" launch -n 2 -machinefile nowhere check job.json
bad "no count" 64 '--measure: "x" is not a count' plan job.json --measure=x
mkdir fake
printf '#!/bin/sh\nprintf "%%s\\n" "$*" >words\nexit 3\n' >fake/mpirun
chmod +x fake/mpirun
PATH=$PWD/fake:$PATH run 70 "$PROGRAM" launch --np=2 -hostfile job.json -H a:4,b:2 --restarts=0 check job.json
check "mpirun's options as people write them" grep -q -e '--hostfile job.json --host a:4,b:2 -n 2 ' words
printf '{"signature": {"instructions": "I.", "fields": [{"prefix": "Text:", "description": "d"}, {"prefix": "Label:", "description": "d"}]}, "metadata": {}}' >other.json
bad "state file of another program" 65 "another program" compile job.json --student=other.json
rm -rf o
run 0 "$PROGRAM" compile job.json
run 0 "$PROGRAM" compile job.json && said finished && ok "a finished run says so, and exits 0" || not_ok "a finished run" err
bad "another job in OUT" 73 "seed" compile job.json --seed=4
