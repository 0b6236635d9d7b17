# Text that moves a cursor, rings, hides or turns letters around, planted wherever text comes from: data, answers,
# servers' messages, metrics, program files, names of models, keys, files and options. None of it may reach stdout or
# stderr as it is, on a pipe or on a terminal; what a program reads keeps its value. Then trials.csv as a spreadsheet and
# python's csv see it.
. tests/lib.sh
plan 63
# ESC, BEL, C1 as UTF-8 and as a byte, DEL, backspace, return, marks of direction, U+2028, zero-width, byte order mark, a tag
E=$(printf 'EV\033]0;t\007\033[2J\302\2331m\177\b\rX\342\200\256\342\201\246\342\200\217\330\234\342\200\250\342\200\213\357\273\277\363\240\201\201')
B=$(printf '%s\233' "$E") # and a byte that is no character: in names of files
J='EV\u001b]0;t\u0007\u001b[2J\u009b1m\u007f\b\rX\u202e\u2066\u200f\u061c\u2028\u200b\ufeff\udb40\udc41' # the same in JSON
raw() { # raw FILE...: what in them is no plain text
	LC_ALL=C grep -anP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f\xad]|\xd8\x9c|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|\xf3\xa0' "$@"
	LC_ALL=C.UTF-8 grep -anxv '.*' "$@"
}
printf '%s\n' "$E" >"$DIR/one"
printf 'a\233b\n' >"$DIR/two"
check "the search finds what is planted" [ -n "$(raw "$DIR/one")" -a -n "$(raw "$DIR/two")" ]
shown() { # shown NAME CODE COMMAND...: all that it says is plain, and the planted text is among it
	name=$1 code=$2
	shift 2
	if run "$code" "$@" && [ -z "$(raw out err)" ] && grep -qF 'EV\' out err; then ok "$name"; else not_ok "$name" err out; fi
}
plain() { # plain NAME COMMAND...: the same, where the planted text need not be there, nor the exit code be known
	name=$1
	shift
	run 0 "$@"
	if [ -z "$(raw out err)" ] && [ $rc -lt 100 ]; then ok "$name"; else not_ok "$name" err out; fi
}

cat >"$DIR/answers" <<END
{"match": "refused", "content": "no: $J", "status": 400}
{"match": "gibberish", "content": "$J"}
{"match": "", "content": "[[ ## answer ## ]]\n$J\n\n[[ ## completed ## ]]"}
END
start_mock --rule "script:$DIR/answers"
cd "$DIR" || exit 70
ROWS=$(for i in 1 2 3 4 5 6; do printf '{"question": "%s q%s", "answer": "%s", "more%s": "%s"}\n' "$J" $i "$J" "$J" "$J"; done)
printf '%s\n' "$ROWS" >train.jsonl
cp train.jsonl "data$B.jsonl"
cat >metric.sh <<'END'
while read -r line; do
	printf 'said EV\033[1m\302\233\233\n' >&2
	case $1 in
	score) echo '{"score": 1}' ;;
	error) printf '{"error": "EV\\u001b[1m\\u009b\\u202e"}\n' ;;
	raw) printf 'EV\033[1m\302\233\n'; echo '{"score": 1}' ;;
	*) exit 3 ;;
	esac
done
END
job() { # job FILE METRIC MORE: everything in it is planted
	cat >"$1" <<END
{"program": {"predict": {"signature": "question -> answer", "instructions": "Do $J."}}, "trainset": "data$J.jsonl", "valset": "train.jsonl",
 "metric": {"command": ["sh", "metric.sh", "$2"], "name": "named $J", "timeout": 5}, "optimizer": {"name": "labeled_few_shot", "k": 3},
 "lm": {"model": "hosted_vllm/m$J", "api_base": "$MOCK_URL", "max_tokens": 100, "num_retries": 1}, "out": "out$J" $3}
END
}
mv "data$B.jsonl" "data$E.jsonl" # JSON cannot name the byte
job "job$B.json" score
J1="job$B.json"
for command in check compile; do shown "$command" 0 "$PROGRAM" $command "$J1"; done
for command in plan eval; do plain "$command" "$PROGRAM" $command "$J1"; done
shown "compile, finished" 0 "$PROGRAM" compile "$J1"
plain "compile, OUT's name is no UTF-8" "$PROGRAM" compile "$J1" --out="o$B"
plain "finished, OUT's name is no UTF-8" "$PROGRAM" compile "$J1" --out="o$B"
check "ends in 0" [ $rc = 0 ]
shown "compile --fresh moves aside" 0 "$PROGRAM" compile "$J1" --fresh --verbose
P=$(ls -d out*X* | grep -v '\.1$')/program.json
shown "show" 0 "$PROGRAM" show "$P" --job "$J1"
shown "show --messages" 0 "$PROGRAM" show "$P" --job "$J1" --messages --input "question=$E"
check "its messages keep their value" python3 -c '
import json, sys
evil = json.loads("\"" + sys.argv[1] + "\"")
messages = json.load(open("out"))
assert evil in messages[1]["content"] and evil in messages[-1]["content"], (evil, messages)' "$J"
shown "run" 0 "$PROGRAM" run "$P" --job "$J1" --input "question=$E"
check "its answer keeps its value" python3 -c '
import json, sys
evil = json.loads("\"" + sys.argv[1] + "\"")
evil = evil.replace("\r", "\n").replace("\u2028", "\n") # splitlines, as in DSPy
assert json.load(open("out")) == {"answer": evil}, open("out").read()' "$J"
shown "run, refused in the server's words" 65 "$PROGRAM" run "$P" --job "$J1" --input "question=refused $E"
shown "run, an answer that does not parse" 65 "$PROGRAM" run "$P" --job "$J1" --input "question=gibberish"
shown "run with an input that is none" 64 "$PROGRAM" run "$P" --job "$J1" --input "$E=1"
plain "eval --program" "$PROGRAM" eval "$J1" --program "$P"
shown "eval of a program that is not there" 65 "$PROGRAM" eval "$J1" --program "no$B"
shown "stop" 0 "$PROGRAM" stop "$(dirname "$P")"
shown "stop of nothing" 64 "$PROGRAM" stop "no$B"
shown "cache of nothing" 73 "$PROGRAM" cache stats "no$B"

# metrics
for kind in error raw dies; do
	job "$kind$B.json" $kind
	plain "check with a metric: $kind" "$PROGRAM" check "$kind$B.json" --verbose
	grep -qF 'EV\' out err || not_ok "its words are there" out err
	plain "eval with a metric: $kind" "$PROGRAM" eval "$kind$B.json" --verbose
done
shown "a metric that cannot start" 64 "$PROGRAM" check "$J1" --metric="{\"command\": [\"./no$J\"]}"

# words of the command line and keys of the job
shown "an unknown command" 64 "$PROGRAM" "no$B"
shown "an unknown option" 64 "$PROGRAM" check "$J1" "--no$B"
shown "an option of the wrong type" 64 "$PROGRAM" check "$J1" "--seed=$B"
shown "an unknown option of launch" 64 "$PROGRAM" launch -n 2 "--no$B" check "$J1"
shown "a split that is none" 64 "$PROGRAM" eval "$J1" "--split=$B"
shown "an input that is none" 64 "$PROGRAM" run "$P" --job "$J1" --input "$B"
shown "a file of inputs that is not there" 65 "$PROGRAM" run "$P" --job "$J1" --inputs "no$B"
for more in "\"no$J\": 1" "\"seed\": \"$J\"" "\"adapter\": \"$J\"" "\"out\": \"\${NO$J}\""; do
	job bad.json score ", $more"
	shown "a key of the job: $(printf %s "$more" | cut -c1-12)" 78 "$PROGRAM" check bad.json
done
S=$(printf %s "$J" | sed 's/\\/\\\\/g') # for sed
sed "s/hosted_vllm/provider$S/" "$J1" >bad.json
shown "a provider that is none" 78 "$PROGRAM" check bad.json
job bad.json score
for more in '{"name": "exact_match", "field": "'"$J"'"}' '{"name": "regex", "pattern": "('"$J"'"}' '"'"$J"'"'; do
	shown "a metric: $(printf %s "$more" | cut -c1-22)" 64 "$PROGRAM" check bad.json --metric="$more"
done
sed -i "s/\"max_tokens\"/\"api_key_env\": \"A$S\", \"max_tokens\"/" bad.json
plain "a variable's name that is none" "$PROGRAM" eval bad.json
job bad.json score
shown "a key file that is not there" 69 "$PROGRAM" eval bad.json --lm.api_key_file="./no$B"
shown "a job that is not there" 78 "$PROGRAM" check "no$B.json"
printf '{"x": %s' "$J" >broken.json
plain "a job that is no JSON" "$PROGRAM" check broken.json

# data and program files
printf '{"text%s": 1}\n' "$J" >columns.jsonl
shown "a column that is missing" 65 "$PROGRAM" check "$J1" --trainset=columns.jsonl
printf 'question,%s,%s\n1,2,3\n' "$E" "$E" >twice.csv
shown "two columns of one name" 65 "$PROGRAM" check "$J1" --trainset=twice.csv
printf '{"question": "q", "answer": "%s"}\n{"question": "r", "answer": "%s"}\n' "$J" "$J" >labels.jsonl
shown "labels that no answer can have" 65 "$PROGRAM" check "$J1" --trainset=labels.jsonl --valset=labels.jsonl --program='{"predict": "question -> answer: int"}'
printf '{"signature": {"instructions": "%s", "fields": [{"prefix": "%s", "description": "%s"}]}, "metadata": {"%s": 1}}' "$J" "$J" "$J" "$J" >other.json
plain "a program file of another program" "$PROGRAM" eval "$J1" --program other.json
mkdir -p "foreign$E/x"
printf 'x' >"foreign$E/journal"
shown "somebody's files in OUT" 73 "$PROGRAM" compile "$J1" --out="foreign$E"

# under launch, with an mpirun that says more than it should
mkdir bin
printf '#!/bin/sh\nprintf "mpirun %%s\\n" "%s" >&2\nPATH=$PLAIN exec mpirun "$@"\n' "$(printf '%s' "$B" | sed 's/[\\"$`]/\\&/g')" >bin/mpirun
chmod +x bin/mpirun
cp "$J1" "job$E.json"
J1="job$E.json"
shown "launch eval, mpirun's words" 0 env PLAIN="$PATH" PATH="$DIR/bin:$PATH" "$PROGRAM" launch -n 2 eval "$J1"
shown "launch run" 0 "$PROGRAM" launch -n 2 run "$P" --job "$J1" --input "question=$E"

# on a terminal, where a line is replaced by the next and ends in CR LF
for words in "check" "plan" "eval" "compile --fresh" "launch -n 2 eval"; do
	# shellcheck disable=SC2086
	set -- $words
	[ "$1" = launch ] && set -- launch -n 2 eval "$J1" || set -- "$1" "$J1" ${2:+"$2"}
	script -qec "$(printf "'%s' " "$PROGRAM" "$@")" transcript >/dev/null 2>&1 </dev/null
	rc=$?
	sed -i '1d;$d; s/\r$//; s/\r[^\r]*\x1b\[K//g' transcript
	if [ $rc = 0 ] && [ -z "$(raw transcript)" ]; then ok "$words on a terminal"; else not_ok "$words on a terminal: $rc" transcript; fi
done
# a spreadsheet's file
"$MOCK" --make-data 12 3 0 >planted.jsonl
printf '{"program": {"predict": "question -> answer"}, "trainset": "planted.jsonl", "valset_size": 6, "metric": "answer_exact_match", "lm": "embedded/stand-in",
 "optimizer": "mipro_v2", "out": "m"}' >mipro.json
run 0 "$PROGRAM" compile mipro.json
check "python's csv reads trials.csv, and no cell is a formula" python3 -c '
import csv
rows = list(csv.DictReader(open("m/trials.csv", newline="")))
assert rows and all(None not in r and None not in r.values() for r in rows), rows
for r in rows:
    for key, cell in r.items():
        assert cell[:1] not in "=+-@\t\r" or cell == "" or float(cell) < 0, (key, cell)
    assert r["score"] == "" or 0 <= float(r["score"]) <= 1, r'
check "no evidence but the program holds it raw" [ -z "$(raw "$(dirname "$P")/predictions.jsonl" "$(dirname "$P")/trials.csv" "$(dirname "$P")/status.json" 2>/dev/null)" ]
