# A server that says the key it was sent, with every fault in turn: in messages of 0 to 4,096 bytes, as it is,
# escaped for JSON, URL-encoded and in base64. Ten characters of the key in a row, in any of these forms, are
# searched for in what the runs show and leave, in what their children see, and in the environments of the
# program's own processes. Then a metric that knows the key and dies of it, and keys in odd variables and files.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
KINDS=${KINDS:-$("$MOCK" --faults)}
AT_ONCE=${AT_ONCE:-14}
plan $(($(echo $KINDS | wc -w) + 19))
KEY=sk-Zq7+0123/456789_abcdef
mkdir "$DIR/runs"
# The key is never an argument of ours: it would be found there. Patterns: parts of it of ten characters.
parts() { awk -v n="$1" '{for (i = 1; i + n - 1 <= length($0); i++) print substr($0, i, n)}'; }
each() { printf %s "$KEY" | od -An -v -tx1 | tr -d '\n' | sed "s/ /$1/g"; } # each PREFIX: a form of every byte
patterns() {
	echo "$KEY" | parts 10
	for before in '' x xx; do printf %s%s "$before" "$KEY" | base64 -w0 | cut -c5-32 | parts 12; done >"$DIR/coded"
	cat "$DIR/coded"
	tr +/ -_ <"$DIR/coded"
	each % | parts 30
	each % | tr a-f A-F | parts 30
	each '\\u00' | parts 60
}
patterns >"$DIR/patterns"
rm "$DIR/coded"
leaked() { grep -rlaFf "$DIR/patterns" "$@" 2>/dev/null; }
for shape in "$KEY" "$(printf 'Bearer %s' "$KEY" | base64 -w0)" "$(printf 'r %s' "$KEY" | base64 -w0)" "$(each %)" "$(each '\\u00')"; do
	printf 'xx%sxx' "$shape" >"$DIR/runs/planted"
	check "the search finds $(echo "$shape" | cut -c1-4)..." [ "$(leaked "$DIR/runs")" = "$DIR/runs/planted" ]
done
rm "$DIR/runs/planted"

copy_program "$DIR/dspy-mpi" # a name of its own, so that its processes are found
"$MOCK" --make-data 8 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 8 3 1000 >"$DIR/val.jsonl"
# What a child can see: its own environment, and that of every process of its run. One of another run may have begun
# just now, and have the key where the system was given it.
cat >"$DIR/metric.sh" <<'END'
{ env; set; cat /proc/self/environ /proc/$$/environ; } >>"$1.children" 2>/dev/null
for p in $(ls -l /proc/[0-9]*/exe 2>/dev/null | sed -n "s#.* \(/proc/[0-9]*\)/exe -> $2\$#\1#p"); do
	tr '\0' '\n' <"$p/cmdline" | grep -q "/${1##*/}\.json$" || continue
	cat "$p/environ" "$p/cmdline" >>"$1.children" 2>/dev/null && echo "looked at $p" >>"$1.looks"
done
while read -r line; do echo '{"score": 1}'; done
END
job() { # job NAME URLS LM
	cat >"$DIR/$1.json" <<END
{"program": {"chain_of_thought": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl",
 "metric": {"command": ["sh", "$DIR/metric.sh", "$DIR/runs/$1", "$DIR/dspy-mpi"]}, "optimizer": "labeled_few_shot",
 "lm": {"model": "hosted_vllm/any", "api_base": $2, "concurrency": 8, "num_retries": 1, "timeout": 3, "outage": 2, $3},
 "out": "runs/$1.o", "cache": "runs/$1.cache"}
END
}
export TEST_LM_KEY="$KEY
" # as secrets of Kubernetes have it
one() { # one KIND: a compile of its own
	"$MOCK" --port-file "$DIR/$1.port" --rule planted --seed 3 --echo yes --slow 100 --retry-after 1 --fault "$1=.4" >/dev/null &
	mock=$!
	until [ -s "$DIR/$1.port" ]; do sleep 0.02; done
	job "$1" "\"http://127.0.0.1:$(cat "$DIR/$1.port")/v1\"" '"api_key_env": "TEST_LM_KEY"'
	timeout -k 5 60 "$DIR/dspy-mpi" compile "$DIR/$1.json" --verbose >"$DIR/runs/$1.out" 2>"$DIR/runs/$1.err"
	echo $? >"$DIR/$1.rc"
	"$MOCK" --fetch "127.0.0.1:$(cat "$DIR/$1.port")" /stats >"$DIR/$1.stats"
	kill $mock
	wait $mock
}
judge() { # judge KIND: what its run left
	kind=$1
	files=$(leaked $(ls -d "$DIR/runs/$kind".*))
	spoilt=$(json faulted "$DIR/$kind.stats")
	masked=$(cat "$DIR/runs/$kind".[oe]* "$DIR/runs/$kind.o"/*.jsonl 2>/dev/null | grep -c '\*\*\*')
	check "$kind, $spoilt answers, exit $(cat "$DIR/$kind.rc"), *** in $masked lines ${files:+($files)}" \
		[ -z "$files" -a "$spoilt" -gt 0 -a "$(cat "$DIR/$kind.rc")" != 124 -a -s "$DIR/runs/$kind.err" ]
}
# shellcheck disable=SC2086
side_by_side "$AT_ONCE" one judge $KINDS
masks=$(grep -rl '\*\*\*' "$DIR/runs" | wc -l)
check "*** stands where the key was, in $masks files" [ "$masks" -gt 20 ]
looks=$(cat "$DIR"/runs/*.looks | wc -l)
check "children looked at $looks processes of the program" [ "$looks" -gt 40 ]
rm -rf "$DIR/runs"/*

# Two servers that tell their roots, three ranks, launched: the environments of ranks, of their watchdogs, of launch
start_mock --rule planted --seed 3 --echo yes --fault 401=.2
one=$MOCK_URL
start_mock --rule planted --seed 3 --echo yes --fault 400=.3
for how in "mpirun --oversubscribe -n 3 $DIR/dspy-mpi" "$DIR/dspy-mpi launch -n 3"; do
	job ranks "[\"$one\", \"$MOCK_URL\"]" '"api_key_env": "TEST_LM_KEY"'
	run 0 $how compile "$DIR/job.json" 2>/dev/null || :
	# shellcheck disable=SC2086
	run 0 $how compile "$DIR/ranks.json"
	rc=$?
	cp "$DIR/out" "$DIR/err" "$DIR/runs"
	files=$(leaked "$DIR/runs")
	looks=$(sort -u "$DIR/runs/ranks.looks" | wc -l)
	check "$(basename "${how%% *}"), exit $rc: $looks processes of ours ${files:+($files)}" [ "$rc" = 0 -a -z "$files" -a "$looks" -ge 6 ]
	rm -rf "$DIR/runs"/*
done
stop_mock

# A metric that has the key from elsewhere: in its last words, cut in front in the middle of a key, in an error, in a line
printf '%s' "$KEY" >"$DIR/key"
cat >"$DIR/metric.sh" <<'END'
read -r line
case $2 in
words) for i in $(seq 400); do cat "$3" >&2; done; printf %s "$line" | tail -c 7 >&2; exit 1 ;;
pieces) while IFS= read -r c; do printf %s "$c" >&2; sleep 0.01; done <"$3.pieces"; exit 1 ;;
error) printf '{"error": "what %s"}\n' "$(cat "$3")" ;;
line) head -c 485 /dev/zero | tr '\0' y; cat "$3"; echo; echo '{"score": 1}' ;;
esac
END
sed 's/.\{5\}/&\n/g' "$DIR/key" >"$DIR/key.pieces"
echo >>"$DIR/key.pieces"
for kind in words pieces error line; do
	job m '"http://127.0.0.1:9/v1"' "\"api_key_file\": \"$DIR/key\""
	sed -i "s#\"$DIR/metric.sh\", .*dspy-mpi\"#\"$DIR/metric.sh\", \"x\", \"$kind\", \"$DIR/key\"#; s#hosted_vllm/any#embedded/any#; s#\"api_base.*outage\": 2, #\"api_key_file\": \"$DIR/key\"}, \"x\": {#" "$DIR/m.json"
	sed -i 's#, "x": {.*},$#,#' "$DIR/m.json"
	"$DIR/dspy-mpi" compile "$DIR/m.json" --fresh --verbose >"$DIR/runs/out" 2>"$DIR/runs/err"
	rc=$?
	cp "$DIR/runs/err" "$DIR/err"
	files=$(leaked "$DIR/runs")
	check "a metric's $kind, exit $rc ${files:+($files)}" [ -z "$files" ]
	check "masked: $(grep -rhoaF -m1 '***' "$DIR/runs" | head -1)" grep -rqF '***' "$DIR/runs"
	rm -rf "$DIR/runs"/*
done

# Answers that repeat the key become demonstrations, and do not take it along
printf '{"match": "", "content": "[[ ## reasoning ## ]]\\nsent with Bearer %s\\n\\n[[ ## answer ## ]]\\nyes\\n\\n[[ ## completed ## ]]"}\n' "$KEY" >"$DIR/script.jsonl"
start_mock --rule "script:$DIR/script.jsonl"
printf 'while read -r line; do echo "{\\"score\\": 1}"; done\n' >"$DIR/metric.sh"
job answers "\"$MOCK_URL\"" '"api_key_env": "TEST_LM_KEY"'
"$DIR/dspy-mpi" compile "$DIR/answers.json" --optimizer=bootstrap_few_shot >"$DIR/runs/out" 2>"$DIR/err"
rc=$?
cp "$DIR/err" "$DIR/runs"
files=$(leaked "$DIR/runs")
check "answers with the key, exit $rc ${files:+($files)}" [ "$rc" = 0 -a -z "$files" ]
check "demonstrations: $(grep -o 'sent with[^"]*' "$DIR/runs/answers.o/program.json" | head -1)" grep -qF 'sent with Bearer ***' "$DIR/runs/answers.o/program.json"
stop_mock
