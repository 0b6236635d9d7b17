# An ensemble of program files over HTTP: what it answers, what it scores and how many calls that takes.
. tests/lib.sh
plan 17

cat >"$DIR/rule.jsonl" <<'EOF'
{"match": "Member broken.", "content": "no field in it"}
{"match": "Member one.", "content": "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]"}
{"match": "Member two.", "content": "[[ ## answer ## ]]\nthe paris.\n\n[[ ## completed ## ]]"}
{"match": "Member three.", "content": "[[ ## reasoning ## ]]\nr\n\n[[ ## answer ## ]]\nRome\n\n[[ ## completed ## ]]"}
EOF
start_mock --rule "script:$DIR/rule.jsonl"
ROWS=20
for i in $(seq $ROWS); do echo "{\"question\": \"q$i\", \"answer\": \"Paris\"}"; done >"$DIR/rows.jsonl"

job() { # job NAME MODULE
	cat >"$DIR/$1.json" <<-EOF
		{"program": {"$2": {"signature": "question -> answer", "instructions": "Member $1."}}, "trainset": "rows.jsonl",
		 "inputs": ["question"], "metric": "exact_match", "optimizer": {"name": "labeled_few_shot", "k": 0},
		 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL"}, "out": "out-$1"}
	EOF
}
member() { # member NAME MODULE: its program file, without the calls that score it
	job "$1" "$2"
	"$PROGRAM" compile "$DIR/$1.json" >/dev/null 2>"$DIR/err" && cp "$DIR/out-$1/program.json" "$DIR/p-$1.json"
}
check "four members are compiled" eval 'member one predict && member two predict && member three chain_of_thought && member broken predict'

together() { # together FILE MEMBER...
	file=$DIR/$1
	shift
	set -- $(for m in "$@"; do case $m in --*) echo "$m" ;; *) echo "$DIR/p-$m.json" ;; esac; done)
	"$PROGRAM" ensemble "$@" >"$file" 2>"$DIR/err"
}
scored() { # scored CODE FILE SCORE CALLS OPTION...: eval of it, the score of the test set, calls that the server saw
	code=$1 file=$2 score=$3 calls=$4
	shift 4
	post /reset >/dev/null
	run "$code" "$@" eval "$DIR/one.json" --testset="$DIR/rows.jsonl" --program="$DIR/$file" $OPTIONS || return 1
	[ "$(json testset.score "$DIR/out")" = "$score" ] && [ "$(stat_of requests)" = "$calls" ] && return 0
	echo "score $(json testset.score "$DIR/out"), $(stat_of requests) calls; wanted $score, $calls" >>"$DIR/err"
	return 1
}

# one has two of five votes, so does three; the first wave is one and two of the three members: 4 of 5 votes
together e.json one one two three three
check "it is one file of three members, five votes" eval 'said "3 members, 5 votes, majority on answer" && grep -q "programs\[4\].predict" "$DIR/e.json"'
OPTIONS="" check "one, and two who says it otherwise, are a majority: asked in two waves" scored 0 e.json 1 $((2 * ROWS)) "$PROGRAM"
check "what was asked is said" eval 'said "2.00 asked an input, 3.00 in one wave" && [ "$(json ensemble.second_wave "$DIR/out")" = 0 ]'
OPTIONS=--waves=1 check "in one wave: the same score, more calls" scored 0 e.json 1 $((3 * ROWS)) "$PROGRAM"
OPTIONS="" check "the same on three ranks" scored 0 e.json 1 $((2 * ROWS)) mpirun --oversubscribe -n 3 "$PROGRAM"
together exact.json one one two three three --reduce=exact
# by equality of values two could still win, with three's votes, when it is looked at after the first wave
OPTIONS="" check "by equality of values it is a tie, which goes to who stands first" scored 0 exact.json 1 $((3 * ROWS)) "$PROGRAM"

# a member that fails by its own fault has no vote; a completion that does not parse is asked for once more, in JSON mode
together broken.json broken broken three one three # Rome has 2 of the 4 votes asked first: one more cannot change it
OPTIONS="" check "a broken member with the most votes: the others vote" scored 0 broken.json 0 $((3 * ROWS)) "$PROGRAM"
check "no example is absent, none failed" eval '[ "$(json testset.n "$DIR/out")" = $ROWS ] && [ "$(json testset.failed "$DIR/out")" = 0 ]'
together allbroken.json broken
run 65 "$PROGRAM" run "$DIR/p-broken.json" --job="$DIR/one.json" --input question=q1
mv "$DIR/out" "$DIR/alone"
check "a broken member alone fails as it does by itself" eval 'run 65 "$PROGRAM" run "$DIR/allbroken.json" --job="$DIR/one.json" --input question=q1 && grep -q "\"error\"" "$DIR/out" && cmp -s "$DIR/out" "$DIR/alone"'

together unanimous.json one two three --reduce=unanimous
check "unanimous abstains, and says on how many" eval 'run 0 "$PROGRAM" eval "$DIR/one.json" --testset="$DIR/rows.jsonl" --program="$DIR/unanimous.json" && said "abstained on 100.0 %" && [ "$(json ensemble.abstained "$DIR/out")" = $ROWS ] && [ "$(json testset.n "$DIR/out")" = 0 ]'
check "run says that it abstained" eval 'run 0 "$PROGRAM" run "$DIR/unanimous.json" --job="$DIR/one.json" --input question=q1 && grep -qx "{\"abstained\": true}" "$DIR/out"'
check "run gives the prediction of the first who voted so" eval 'run 0 "$PROGRAM" run "$DIR/e.json" --job="$DIR/one.json" --input question=q1 && grep -qx "{\"answer\": \"Paris\"}" "$DIR/out"'

# answers kept: an ensemble of programs that were scored before makes no call
OPTIONS="--cache=$DIR/kept --waves=1" scored 0 e.json 1 $((3 * ROWS)) "$PROGRAM"
OPTIONS="--cache=$DIR/kept" check "with --cache and known members: no call" scored 0 e.json 1 0 "$PROGRAM"

check "show has the members and the Python of their own modules" eval 'run 0 "$PROGRAM" show "$DIR/e.json" && grep -q "member 3 of 3, 2 votes" "$DIR/out" && [ $(grep -c "^    dspy.Predict(" "$DIR/out") = 3 ] && [ $(grep -c "^    dspy.ChainOfThought(" "$DIR/out") = 2 ]'
check "an ensemble is not compiled further" eval 'run 78 "$PROGRAM" compile "$DIR/one.json" --student="$DIR/e.json" --out="$DIR/x" && said "not compiled further"'
check "nor is --waves for one program" eval 'run 64 "$PROGRAM" run "$DIR/p-one.json" --waves=1 --input question=q && said "is for an ensemble"'
