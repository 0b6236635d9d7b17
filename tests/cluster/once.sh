# Nothing is paid twice inside a run: a program of two steps at temperature 0 makes as many requests as there are
# different ones, counted at the server, at any number of ranks, under caps, and over three kills; what is planned
# is what comes. What makes a request another one is its body and its rollout, which is not sent: two proposals of an
# instruction that read alike ask for a sample each, as DSPy's rollout_id does. The journal's keys tell them apart: as
# many requests as keys, and of those without a rollout, which are at temperature 0, no body twice.
# BIG=1: 16 ranks too, ten caps, kills with both optimizers.
LEAKS=0 # what Open MPI leaves at its end is not ours; the scripts of one process look for leaks
. tests/lib.sh
MIPRO='{"name": "mipro_v2", "auto": "light"}' RANDOM_SEARCH='{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 4}'
RANKS="1 4" CAPS=5 KILLED=$MIPRO LATENCY=15
[ "${BIG:-0}" = 1 ] && RANKS="1 4 16" CAPS="1 2 3 4 5 6 7 8 9 10" KILLED="$MIPRO|$RANDOM_SEARCH" LATENCY=60
plan $((${BIG:+2} + 8))
"$MOCK" --make-data 60 9 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 60 9 1000 >"$DIR/val.jsonl"
job() { # job OPTIMIZER
	cat >"$DIR/job.json" <<EOF
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"},
                       {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match", "inputs": ["question"],
 "optimizer": $1, "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16, "temperature": 0}}
EOF
}
# compiles OPTION...: at each number of ranks; $problem says what is not alike, or asked twice; $calls: at one rank
compiles() {
	calls="" problem=""
	for many in $RANKS; do
		post /reset >/dev/null
		rm -rf "$DIR/o"
		run 0 mpirun --oversubscribe -n "$many" "$PROGRAM" compile "$DIR/job.json" --out="$DIR/o" "$@" || problem="$problem, exit $rc"
		made=$(stat_of requests)
		twice=$(tail -n "$made" "$DIR/record" | grep -v '"attempt": 0,' | grep -c '"temperature":0}}$')
		keys=$("$MOCK" --list-keys "$DIR/o/journal" | sort -u | wc -l)
		[ "$made" = "$keys" ] || problem="$problem, $made requests of $keys keys"
		[ "$twice" = 0 ] || problem="$problem, $twice twice at $many ranks"
		[ "$made" = "$(json calls "$DIR/out")" ] || problem="$problem, $(json calls "$DIR/out") of $made are told"
		[ -n "$calls" ] || { calls=$made && cp "$DIR/o/program.json" "$DIR/one.json"; }
		[ "$made" = "$calls" ] || problem="$problem, $made requests at $many ranks, $calls at one"
		cmp -s "$DIR/o/program.json" "$DIR/one.json" || problem="$problem, another program at $many ranks"
	done
}
start_mock --rule planted --seed 9 --record "$DIR/record"
for optimizer in "$MIPRO" "$RANDOM_SEARCH"; do
	name=$(echo "$optimizer" | cut -d'"' -f4)
	job "$optimizer"
	"$PROGRAM" plan "$DIR/job.json" >"$DIR/planned" 2>"$DIR/err"
	compiles
	check "$name: $calls requests, all of them different, at $RANKS ranks$problem" [ -z "$problem" ]
	whole=$calls low=$(json calls.low "$DIR/planned") expected=$(json calls.expected "$DIR/planned") high=$(json calls.high "$DIR/planned")
	least=$((expected * 9 / 10)) most=$((expected * 11 / 10))
	[ "$optimizer" = "$MIPRO" ] && least=$low most=$high # how many instructions there are of the first step follows from the answers
	check "$name: $expected are planned, $low to $high" [ $((whole >= low && whole <= high && whole >= least && whole <= most)) = 1 ]
	bad="" used=""
	for k in $CAPS; do
		compiles --budget.calls=$((whole * k / 11))
		[ "$calls" -le $((whole * k / 11)) ] || problem="$problem, $calls over $((whole * k / 11))"
		bad="$bad$problem" used="$used $calls of $((whole * k / 11))"
	done
	check "$name: under caps alike:$used$bad" [ -z "$bad" ]
done
stop_mock
start_mock --rule planted --seed 9 --mark yes --latency $LATENCY
IFS="|"
# shellcheck disable=SC2086
set -- $KILLED
unset IFS
for optimizer in "$@"; do
	job "$optimizer"
	post /reset >/dev/null
	check "the undisturbed run" run 0 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/whole"
	calls=$(stat_of requests)
	post /whole >/dev/null
	killed_and_resumed 1 "$calls"
	rm -rf "$DIR/whole"
done
