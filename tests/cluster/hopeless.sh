# Nothing is paid that cannot come to anything: jobs of which no answer can be used end after the start program's
# first 20 examples, with every optimizer, in one process and on ranks, by whose fault it is. BIG=1: all of them.
LEAKS=0 # what Open MPI leaves at its end is not ours
. tests/lib.sh
plan 31
cd "$DIR" || exit 70
"$MOCK" --make-data 60 3 0 >train.jsonl
"$MOCK" --make-data 60 3 1000 >val.jsonl
EXACT='"exact_match"' RANDOM_SEARCH='"bootstrap_few_shot_with_random_search"'
TIMES=6
[ "${BIG:-0}" = 1 ] && TIMES=20
ALL="$RANDOM_SEARCH|\"mipro_v2\"|\"labeled_few_shot\"|\"bootstrap_few_shot\"|{\"name\": \"mipro_v2\", \"search\": \"mipro\"}|{\"name\": \"mipro_v2\", \"search\": \"tpe\"}"
job() { # job OPTIMIZER METRIC
	cat >job.json <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": $2, "optimizer": $1, "out": "o",
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "temperature": 0, "max_tokens": 500, "concurrency": 16}}
END
}
# ends KIND EXIT CALLS WORDS [METRIC]: alone with each optimizer; random search also on ranks, and again from the journal
ends() {
	kind=$1 code=$2 calls=$3 words=$4 metric=${5:-$EXACT} bad=""
	old=$IFS
	IFS="|"
	# shellcheck disable=SC2086
	set -- $ALL
	IFS=$old
	for optimizer in "$@"; do
		ways="alone"
		[ "$optimizer" = "$RANDOM_SEARCH" ] || [ "${BIG:-0}" = 1 ] && ways="alone again ranks"
		for way in $ways; do
			job "$optimizer" "$metric"
			[ $way = again ] || rm -rf o ./*.d
			before=$(stat_of requests) wanted=$calls launch=""
			[ $way = again ] && wanted=${AGAIN:-0}
			[ $way = ranks ] && launch="launch -n 3"
			# shellcheck disable=SC2086
			run "$code" "$PROGRAM" $launch compile job.json
			rc=$? made=$(($(stat_of requests) - before))
			[ $rc = 0 ] && [ $made = "$wanted" ] && said "$words" && ! said "worth it" || bad="$bad; $optimizer $way: $made calls, $(tail -1 err | cut -c1-300)"
		done
	done
	for launch in "" "launch -n 3"; do # eval has demonstrations to try for none of them
		[ "$kind" = "${kind#*parse}" ] || break
		before=$(stat_of requests)
		# shellcheck disable=SC2086
		run "$code" "$PROGRAM" $launch eval job.json
		rc=$? made=$(($(stat_of requests) - before))
		[ $rc = 0 ] && [ $made = "$calls" ] && said "$words" || bad="$bad; eval $launch: $made calls, $(tail -1 err | cut -c1-300)"
	done
	[ -z "$bad" ] && ok "$kind: exit $code after $calls calls" || not_ok "$kind$bad"
}
start_mock --rule planted --fault thinks=1
ends "answers cut while the model thinks" 78 40 "20 of 20 answers are cut at max_tokens=500, 480 of them reasoning"
stop_mock
start_mock --rule planted --fault 400_temperature=1
AGAIN=1 # nothing is journaled of it
ends "a sampling key that is refused" 78 1 "take \`temperature\` out"
AGAIN=0
check "status.json has host, pid and time: $(json pid o/status.json), $(json renewed o/status.json)" sh -c "grep -q '\"host\": \"$(uname -n)\"' o/status.json && grep -q '\"pid\": [1-9]' o/status.json && grep -q '\"renewed\": \"20..-..-..T..:..:..Z\"' o/status.json"
stop_mock
start_mock --rule planted --fault no_parse=1
ends "answers that never parse, with demonstrations neither" 69 80 "the first: I would rather not say."
stop_mock

# One answer among the first 20 of the data is enough to go on; the one behind them is none of them.
twenty=""
for i in $(seq 1000 1018); do twenty="$twenty --poison $i:400"; done
for last in 1019 1020; do
	start_mock --rule planted $twenty --poison $last:400
	job '"labeled_few_shot"' "$EXACT"
	for launch in "" "launch -n 3"; do
		before=$(stat_of requests)
		[ $last = 1019 ] && code=69 calls=20 || code=0 calls=120
		run $code "$PROGRAM" $launch compile job.json --fresh
		rc=$? made=$(($(stat_of requests) - before))
		check "refused up to $last but for one: exit $code, $made calls $launch" [ $rc,$made = 0,$calls ]
		before=$(stat_of requests)
		[ $last = 1019 ] || calls=60
		run $code "$PROGRAM" $launch eval job.json
		rc=$? made=$(($(stat_of requests) - before))
		check "and eval: exit $code, $made calls $launch" [ $rc,$made = 0,$calls ]
	done
	stop_mock
done

# A metric that fails: on the labels too, without a call; on what the model says alone, after 20 examples.
start_mock --rule planted
metric() { printf '{"command": ["sh", "%s/%s.sh"]}' "$DIR" "$1"; }
says() { echo "while read -r line; do echo '$2'; done" >"$1.sh"; }
says ten '{"score": 10}'
says none '{"score": null}'
says raises '{"error": "KeyError: label"}'
says zero '{"score": 0}'
echo 'read -r line && exit 3' >dies.sh
echo 'sleep 0.2; exit 3' >nostart.sh
echo 'mkdir "$0.d" 2>/dev/null && score=1; while read -r line; do echo "{\"score\": ${score:-7}}"; done' >late.sh # its first process has the labels
echo 'while read -r line; do case $line in *"item 1003:"*) echo "{\"score\": 7}" ;; *) echo "{\"score\": 1}" ;; esac; done' >some.sh
for m in ten none raises dies nostart; do
	job "$RANDOM_SEARCH" "$(metric $m)"
	before=$(stat_of requests)
	check "$m: compile ends" run 65 "$PROGRAM" compile job.json --fresh
	codes=""
	for _ in $(seq $TIMES); do
		"$PROGRAM" check job.json >out 2>err
		codes="$codes$?"
	done
	check "$m: check, $TIMES times: $codes, no call" [ "$(echo "$codes" | sed 's/65//g'),$(stat_of requests)" = ",$before" ]
done
ALL=$RANDOM_SEARCH
rm -rf ./*.d
job "$RANDOM_SEARCH" "$(metric late)"
before=$(stat_of requests)
run 65 "$PROGRAM" compile job.json --fresh
check "late: after $(($(stat_of requests) - before)) calls" [ "$(($(stat_of requests) - before)),$(grep -c '20 of 20 answers are not scored, because the metric failed' err)" = 20,1 ]
rm -rf ./*.d
mkdir late.sh.d # no process has the labels
before=$(stat_of requests)
run 65 "$PROGRAM" eval job.json
check "and eval after $(($(stat_of requests) - before))" [ "$(($(stat_of requests) - before)),$(grep -c '20 of 20 answers are not scored, because the metric failed' err)" = 20,1 ]
job '"labeled_few_shot"' "$(metric some)"
run 0 "$PROGRAM" check job.json
check "check names the right answer that a metric fails on" grep -q 'it fails on 1 of 120 right answers.*example 4 of .*val.jsonl: ' out
job '"labeled_few_shot"' "$(metric zero)"
check "a score of 0 is no failure of the run" run 0 "$PROGRAM" compile job.json --fresh
run 65 "$PROGRAM" check job.json
check "though check fails where no label scores" said "every label scores 0"
stop_mock

# check --live asks each server once.
start_mock --rule planted --max-model-len 4096 --model other,any
one=$MOCK_URL
job '"labeled_few_shot"' "$EXACT"
check "a server that is up, and one that is not" run 0 "$PROGRAM" check job.json --live --lm.api_base="[\"$one\", \"http://127.0.0.1:9/v1\"]"
check "each is described: $(grep -c ^server out)" sh -c "grep -q '^server .*$one: up; serves other, any; context 4096 tokens; response_format is taken; [0-9.]* tokens/s' out && grep -q '^server .*:9/v1: gives no answer: ' out && [ $(stat_of requests) = 1 ]"
stop_mock
start_mock --rule planted --fault 400_format=1
job '"labeled_few_shot"' "$EXACT"
run 0 "$PROGRAM" check job.json --live
check "response_format refused: asked without" grep -q 'response_format is refused; [0-9.]* tokens/s' out
stop_mock
check "no server at all: 69" run 69 "$PROGRAM" check job.json --live
