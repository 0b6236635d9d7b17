# An ensemble of program files over HTTP: what it answers, what it scores and how many calls that takes.
. tests/lib.sh
plan 71

cat >"$DIR/rule.jsonl" <<'EOF'
{"match": "Member broken.", "content": "no field in it"}
{"match": "Member think.", "content": "[[ ## gist ## ]]\nFrance\n\n[[ ## completed ## ]]"}
{"match": "Member say.", "content": "[[ ## answer ## ]]\nParis\n\n[[ ## completed ## ]]"}
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
OPTIONS="" check "the same on three ranks" scored 0 e.json 1 $((2 * ROWS)) env ASAN_OPTIONS=detect_leaks=0 mpirun --oversubscribe -n 3 "$PROGRAM"
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

together alone.json one
check "one member is one" said "1 member, 1 vote, majority on answer"
sed 's/question -> answer/question, more -> answer/; s/Member one/Member more/; s/"rows.jsonl"/"wide.jsonl"/; s/"inputs": \["question"\]/"inputs": ["question", "more"]/; s/out-one/out-more/' "$DIR/one.json" >"$DIR/more.json"
sed 's/}$/, "more": "x"}/' "$DIR/rows.jsonl" >"$DIR/wide.jsonl"
"$PROGRAM" compile "$DIR/more.json" >/dev/null 2>"$DIR/err" && cp "$DIR/out-more/program.json" "$DIR/p-more.json"
check "a member that reads more than the first is named" eval '! together wider.json one more && said "it has no input \"more\", which another member reads"'
check "it may stand first" together wider.json more one

together unanimous.json one two three --reduce=unanimous
check "unanimous abstains, and says on how many" eval 'run 0 "$PROGRAM" eval "$DIR/one.json" --testset="$DIR/rows.jsonl" --program="$DIR/unanimous.json" && said "abstained on 100.0 %" && [ "$(json ensemble.abstained "$DIR/out")" = $ROWS ] && [ "$(json testset.n "$DIR/out")" = 0 ]'
"$PROGRAM" ensemble "$DIR/unanimous.json" "$DIR/p-one.json" >"$DIR/nested.json" 2>"$DIR/err"
check "an ensemble in another one: its rule is not that of its members any more, which is said" eval 'said "4 votes, majority on answer" && said "unanimous.json: its own rule, unanimous on answer, does not hold here: its members vote one by one" && [ "$(grep -c "own rule" "$DIR/err")" = 1 ]'
"$PROGRAM" ensemble "$DIR/unanimous.json" "$DIR/e.json" --reduce=unanimous >"$DIR/nested.json" 2>"$DIR/err"
check "only where it is another one" eval 'said "unanimous on answer" && said "e.json: its own rule, majority on answer," && [ "$(grep -c "own rule" "$DIR/err")" = 1 ]'
sed 's|"optimizer": {[^}]*}|"optimizer": {"name": "ensemble", "members": ["unanimous.json", "p-one.json"]}|; s|"trainset"|"valset": "rows.jsonl", &|' "$DIR/one.json" >"$DIR/of-nested.json"
check "nor among the candidates of a compilation" eval 'run 0 "$PROGRAM" plan "$DIR/of-nested.json" && said "unanimous.json is an ensemble, unanimous on answer: here its 3 members are candidates one by one"'
check "run says that it abstained" eval 'run 0 "$PROGRAM" run "$DIR/unanimous.json" --job="$DIR/one.json" --input question=q1 && grep -qx "{\"abstained\": true}" "$DIR/out"'
check "run gives the prediction of the first who voted so" eval 'run 0 "$PROGRAM" run "$DIR/e.json" --job="$DIR/one.json" --input question=q1 && grep -qx "{\"answer\": \"Paris\"}" "$DIR/out"'

# answers kept: an ensemble of programs that were scored before makes no call
OPTIONS="--cache=$DIR/kept --waves=1" scored 0 e.json 1 $((3 * ROWS)) "$PROGRAM"
OPTIONS="--cache=$DIR/kept" check "with --cache and known members: no call" scored 0 e.json 1 0 "$PROGRAM"

# run over a file: in blocks, each written before the next is asked; with --out a stopped run is gone on with
for i in $(seq 1300); do echo "{\"question\": \"q$i\", \"answer\": \"Paris\"}"; done >"$DIR/many.jsonl"
run_many() { # run_many CODE OPTION...
	code=$1
	shift
	run "$code" "$PROGRAM" run "$DIR/drawn.json" --job="$DIR/one.json" --inputs-file="$DIR/many.jsonl" --lm.concurrency=1 "$@"
}
together drawn.json one two three --size=1 --size_draw=dspy
run 0 "$PROGRAM" eval "$DIR/one.json" --testset="$DIR/many.jsonl" --program="$DIR/drawn.json" --out="$DIR/at-once"
sed -n 's/.*"outputs": \({[^}]*}\).*/\1/p' "$DIR/at-once/predictions.jsonl" >"$DIR/want"
run_many 0
mv "$DIR/out" "$DIR/whole"
check "run: members drawn from Python's stream are those that eval draws" sh -c "cmp -s '$DIR/whole' '$DIR/want' && [ \"\$(sort -u '$DIR/want' | wc -l)\" = 3 ]"
post /reset >/dev/null
run_many 75 --out="$DIR/part" &
PID=$!
until [ "$(stat_of requests)" -ge 1100 ] || ! kill -0 $PID 2>/dev/null; do :; done
cp "$DIR/part" "$DIR/seen" 2>/dev/null
pkill -INT -P "$(pgrep -P $PID timeout)" 2>/dev/null
wait $PID
check "the first block is written while the second is asked" sh -c "[ \"\$(wc -l <'$DIR/seen')\" -ge 1032 ] && head -1032 '$DIR/whole' | cmp -s -n 20000 - '$DIR/seen'"
check "the same command goes on: the same lines, no call again" eval 'run_many 0 --out="$DIR/part" && cmp -s "$DIR/whole" "$DIR/part" && [ "$(stat_of requests)" = 1300 ]'
check "show has the members and the Python of their own modules" eval 'run 0 "$PROGRAM" show "$DIR/e.json" && grep -q "member 3 of 3, 2 votes" "$DIR/out" && [ $(grep -c "^    dspy.Predict(" "$DIR/out") = 3 ] && [ $(grep -c "^    dspy.ChainOfThought(" "$DIR/out") = 2 ]'
check "an ensemble is not compiled further" eval 'run 78 "$PROGRAM" compile "$DIR/one.json" --student="$DIR/e.json" --out="$DIR/x" && said "cannot be compiled further"'
check "nor is --waves for one program" eval 'run 64 "$PROGRAM" run "$DIR/p-one.json" --waves=1 --input question=q && said "is for an ensemble"'

# ---- programs of another form than the job's ----
OPTIONS="" check "a chain of thought is scored by a job that predicts" scored 0 p-three.json 0 $ROWS "$PROGRAM"
check "both are members of one file, with --job too" eval 'together both.json one three --job="$DIR/one.json" && said "2 members, 2 votes"'
python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); del d["metadata"]["dspy_mpi"]; json.dump(d, open(sys.argv[2], "w"))' "$DIR/p-three.json" "$DIR/p-dspys.json"
check "also one as DSPy writes it" eval 'together both.json one dspys --job="$DIR/one.json" && said "2 members, 2 votes"'
check "diff says that they are of two forms" eval 'run 0 "$PROGRAM" diff "$DIR/p-one.json" "$DIR/p-three.json" && grep -qx program "$DIR/out" && grep -q "^  + .*chain_of_thought" "$DIR/out"'
check "but none that is compiled further" eval 'run 65 "$PROGRAM" compile "$DIR/one.json" --student="$DIR/p-three.json" --out="$DIR/x" && said "the file of another program"'
cat >"$DIR/steps.json" <<EOF
{"program": {"steps": [{"name": "think", "predict": {"signature": "question -> gist", "instructions": "Member think."}}, {"name": "say", "predict": {"signature": "question, gist -> answer", "instructions": "Member say."}}]},
 "trainset": "rows.jsonl", "inputs": ["question"], "metric": "exact_match", "optimizer": {"name": "labeled_few_shot", "k": 0}, "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL"}, "out": "out-steps"}
EOF
"$PROGRAM" compile "$DIR/steps.json" >/dev/null 2>"$DIR/err"
for i in $(seq 40); do echo "{\"question\": \"q$i\", \"answer\": \"Paris\"}"; done >"$DIR/rows40.jsonl"
mixed() { # mixed CODE MEMBERS: of one.json, with 36 rows to validate on
	run "$1" "$PROGRAM" compile "$DIR/one.json" --trainset="$DIR/rows40.jsonl" --valset_size=36 --out="$DIR/mixed" --optimizer="{\"name\": \"ensemble\", $2, \"select\": \"top_k\", \"size\": 3, \"guard\": false}"
}
check "all forms are candidates of one committee" mixed 0 '"members": ["p-two.json", "p-one.json"], "from": ["out-steps"]'
check "a use is counted in the calls of those that are asked" [ "$(json ensemble.valset.calls_a_use "$DIR/out")" = 3 ]
check "who votes alike does not disagree" [ "$(json ensemble.differ "$DIR/mixed/evidence.json")" = 0 ]
check "a program that reads more than the job has is refused" eval 'mixed 78 "\"members\": [\"wider.json\"]" && said "reads \"more\", which is no input of the job"'
echo '{"program": "e.json", "trainset": "rows.jsonl", "inputs": ["question"], "metric": "exact_match", "lm": "embedded/stand-in"}' >"$DIR/of-file.json"
loads() { run 0 "$PROGRAM" show "$@" && [ "$(tail -1 "$DIR/out" | sed "s/.*load('//; s/').*//; s|^$DIR/||")" = "$file" ]; }
check "the Python that show prints loads the file, whatever names it" eval 'file=mixed/program.json loads "$DIR/mixed" && file=e.json loads "$DIR/of-file.json" && file=e.json loads --job="$DIR/of-file.json"'

# ---- compiled: members as alone, a committee, and what its guard says ----
compile() { # compile CODE OUT OPTIMIZER OPTION...
	code=$1 out=$2 optimizer=$3
	shift 3
	run "$code" $RANKS "$PROGRAM" compile jobs/sample.json --optimizer="$optimizer" --out="$DIR/$out" "$@"
}
same_files() { diff -r -x journal -x status.json -x evidence.json -x report.html "$DIR/$1" "$DIR/$2" >>"$DIR/err"; } # same_files OUT OUT
RS='{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 2}'
RANKS=
check "two compilations in one run" compile 0 both "{\"name\": \"ensemble\", \"of\": $RS, \"k\": 2}" --events="$DIR/events"
told() { grep -q "\"event\": \"$1\", \"part\": \"member $2\"" "$DIR/events"; } # told EVENT MEMBER
check "phases and candidates are said of each" eval 'told phase 1 && told phase 2 && told candidate 1 && told candidate 2 && grep -q "\"event\": \"phase\", \"phase\": \"committee\"" "$DIR/events"'
check "who is the program, and why, is in the last line" eval '[ "$(json chosen "$DIR/out")" = "best single" ] && [ -n "$(json why "$DIR/out")" ] && said "program.json is the best single"'
check "no more is done than was planned" [ "$(json progress.done "$DIR/both/status.json")" -le "$(json progress.total "$DIR/both/status.json")" ]
check "worth it is said once" eval '[ "$(grep -c "worth it" "$DIR/err")" = 1 ]'
cp "$DIR/out" "$DIR/last"
for seed in 1 2; do compile 0 alone-$seed "$RS" --seed=$seed; done
check "each member is what its seed gives alone, byte for byte" eval 'same_files alone-1 both/members/1 && same_files alone-2 both/members/2'
RANKS="env ASAN_OPTIONS=detect_leaks=0 mpirun --oversubscribe -n 3" compile 0 three "{\"name\": \"ensemble\", \"of\": $RS, \"k\": 2}"
check "all is the same on three ranks" same_files both three
compile 0 capped "{\"name\": \"ensemble\", \"of\": $RS, \"k\": 2}" --budget.calls=900
compile 0 share-2 "$RS" --seed=2 --budget.calls=300
check "under a cap: what it is with its share" same_files share-2 capped/members/2
check "a cap that holds no start row of each is refused" eval 'compile 78 none "{\"name\": \"ensemble\", \"of\": $RS, \"k\": 2}" --budget.calls=239 && said "takes 240 at least"'
of_plan() { # of_plan CODE OPTION...: plan of the two, which calls nothing, at a price
	code=$1
	shift
	run "$code" "$PROGRAM" plan jobs/sample.json --optimizer="{\"name\": \"ensemble\", \"of\": $RS, \"k\": 2}" \
		--lm='{"model": "hosted_vllm/any", "api_base": "http://127.0.0.1:9/v1", "max_tokens": 60, "price": {"prompt": 10, "completion": 30}}' "$@"
}
check "so is one on tokens" eval 'of_plan 78 --budget.tokens=60000 && said "budget.tokens: 60000 is too little" && said "takes about 9" && of_plan 0 --budget.tokens=120000'
check "and one on money" eval 'of_plan 78 --budget.cost="\$0.60" && said "budget.cost: \$0.60 is too little" && said "as plan estimates" && of_plan 0 --budget.cost="\$3"'
check "fewer compilations than optimizers are refused" eval 'run 64 "$PROGRAM" plan jobs/sample.json --optimizer="{\"name\": \"ensemble\", \"of\": [$RS, $RS], \"k\": 1}" && said "lists 2 optimizers"'
check "plan has the committee" eval 'run 0 "$PROGRAM" plan jobs/sample.json --optimizer="{\"name\": \"ensemble\", \"of\": $RS}" && said committee && said "calls a use: 1 of one program"'

# two experts: each right on its half, which the inputs tell; or do not
cat >"$DIR/experts.jsonl" <<'EOR'
{"match": "Expert left.", "content": "[[ ## answer ## ]]\nleft\n\n[[ ## completed ## ]]"}
{"match": "Expert right.", "content": "[[ ## answer ## ]]\nright\n\n[[ ## completed ## ]]"}
EOR
stop_mock
start_mock --rule "script:$DIR/experts.jsonl"
for i in $(seq 120); do
	case $((i % 2)) in 0) kind="which river flows through town $i" side=left ;; 1) kind="name a metal that melts below $i" side=right ;; esac
	echo "{\"question\": \"$kind\", \"answer\": \"$side\"}" >>"$DIR/told.jsonl"
	case $((i * i * 7 / 5 % 2)) in 0) side=left ;; 1) side=right ;; esac
	echo "{\"question\": \"which river flows through town $i\", \"answer\": \"$side\"}" >>"$DIR/untold.jsonl"
done
for side in left right; do
	job $side predict
	sed -i "s/Member $side/Expert $side/" "$DIR/$side.json"
	cp "$DIR/rows.jsonl" "$DIR/rows-$side.jsonl"
	"$PROGRAM" compile "$DIR/$side.json" >/dev/null 2>"$DIR/err" && cp "$DIR/out-$side/program.json" "$DIR/p-$side.json"
done
FILES='"p-left.json", "p-right.json"'
experts() { # experts ROWS OUT KEYS: the files together, chosen by the first 80 rows and scored on the other 40
	cat >"$DIR/experts.json" <<-EOF
		{"program": {"predict": "question -> answer"}, "trainset": "$1.jsonl", "valset_size": 79, "testset_size": 40, "inputs": ["question"], "metric": "exact_match",
		 "optimizer": {"name": "ensemble", "members": [$FILES], $3}, "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL"}, "out": "$2"}
	EOF
	run 0 "$PROGRAM" compile "$DIR/experts.json" --cache="$DIR/answers"
}
check "two experts: one member for each input" experts told told '"reduce": "best_per_input"'
check "its guard takes it" [ "$(json chosen "$DIR/out")" = best_per_input ]
check "it gains at least 10 points on other examples, at one call a use" eval '[ "$(json ensemble.testset.calls_a_use "$DIR/out")" = 1 ] && [ "$(json ensemble.testset.single.score "$DIR/out")" = 0.5 ] && [ "$(json ensemble.testset.committee.score "$DIR/out")" = 1 ]'
post /reset >/dev/null
check "eval of it makes no call" eval 'run 0 "$PROGRAM" eval "$DIR/experts.json" --program="$DIR/told/program.json" --cache="$DIR/answers" && [ "$(json testset.score "$DIR/out")" = 1 ] && [ "$(stat_of requests)" = 0 ]'
check "its report says that one is asked" eval 'grep -q "For each input one member is asked" "$DIR/told/report.html" && ! grep -q "The committee votes" "$DIR/told/report.html"'
check "program.json and ensemble.json are the committee, loadable" cmp -s "$DIR/told/program.json" "$DIR/told/ensemble.json"
check "where the inputs do not tell: refused" eval 'experts untold untold "\"reduce\": \"best_per_input\"" && [ "$(json chosen "$DIR/out")" = "best single" ] && [ -f "$DIR/untold/ensemble.json" ]'
check "a committee of the two is refused as well" eval 'experts untold voted "\"size\": 3" && [ "$(json chosen "$DIR/out")" = "best single" ]'
check "without the guard it is the program" eval 'experts untold forced "\"select\": \"top_k\", \"size\": 2, \"guard\": false" && [ "$(json chosen "$DIR/out")" = committee ] && grep -q "programs\[1\]" "$DIR/forced/program.json"'
sed -i 's/"valset_size": 79/"valset_size": 29/; s/"out": "[a-z]*"/"out": "few"/; s/"guard": false/"guard": true/' "$DIR/experts.json"
check "29 examples are too few for a committee, which is said" eval 'run 0 "$PROGRAM" compile "$DIR/experts.json" && said "29 validation examples are usable, and 30 are needed" && [ ! -f "$DIR/few/ensemble.json" ]'
# twins: eight programs that are right on the same inputs and give the same wrong answers (bench_ensemble.c's family of that name)
awk -v rows="$DIR/twins.jsonl" -v rule="$DIR/twins-rule.jsonl" '
function draw() { seed = (16807 * seed) % 2147483647; return seed / 2147483647 }
function normal() { return sqrt(-2 * log(draw())) * cos(6.283185307 * draw()) }
BEGIN {
	seed = 3
	split("river town lake harbour,metal acid salt oxide,novel poet verse drama,goal team match referee", words, ",")
	for (m = 1; m <= 8; m++) { level = -.3 + .35 * normal(); for (t = 1; t <= 4; t++) able[m, t] = level + .12 * normal() }
	for (i = 1; i <= 120; i++) {
		t = 1 + int(4 * draw()); hard = normal(); common = normal(); trap = 1 + int(13 * draw()); label = i % 14
		printf "{\"question\": \"%s no. %d.\", \"answer\": \"class %d\"}\n", words[t], i, label >rows
		for (m = 1; m <= 8; m++) {
			wrong = draw() < .9 ? trap : 1 + int(13 * draw())
			right = able[m, t] - hard + sqrt(.8) * common + sqrt(.2) * normal() > 0
			printf "{\"match\": \"Expert t%d.\", \"and\": \"no. %d.\", \"content\": \"[[ ## answer ## ]]\\nclass %d\\n\\n[[ ## completed ## ]]\"}\n", m, i, (label + (right ? 0 : wrong)) % 14 >rule
		}
	}
}'
stop_mock
start_mock --rule "script:$DIR/twins-rule.jsonl"
for m in 1 2 3 4 5 6 7 8; do sed "s/Expert left/Expert t$m/" "$DIR/p-left.json" >"$DIR/p-t$m.json"; done
FILES='"p-t1.json", "p-t2.json", "p-t3.json", "p-t4.json", "p-t5.json", "p-t6.json", "p-t7.json", "p-t8.json"'
check "twins: one member for each input is refused" eval 'experts twins twins "\"reduce\": \"best_per_input\"" && [ "$(json chosen "$DIR/out")" = "best single" ] && [ "$(json ensemble.guard.verdict "$DIR/out")" = noise ]'
check "and forecast: they are right on the same inputs, and wrong alike" said "a committee has little to add"
check "so is a committee of them" eval 'experts twins voted-twins "\"size\": 5" && [ "$(json chosen "$DIR/out")" = "best single" ]'
check "finished, it prints the same last line" eval 'compile 0 both "{\"name\": \"ensemble\", \"of\": $RS, \"k\": 2}" && cmp -s "$DIR/out" "$DIR/last"'

# ---- models of their own: one program asked of two servers, each right on its half ----
one_answer() { # one_answer TEXT: a server that says it always
	printf '{"match": "", "content": "[[ ## answer ## ]]\\n%s\\n\\n[[ ## completed ## ]]"}\n' "$1" >"$DIR/$1-rule.jsonl"
	start_mock --rule "script:$DIR/$1-rule.jsonl"
}
stop_mock
one_answer right
RIGHT="{\"model\": \"hosted_vllm/right\", \"api_base\": \"$MOCK_URL\", \"temperature\": 0.5}"
RIGHT_PID=$MOCK_PID
one_answer left
K0='"name": "labeled_few_shot", "k": 0'
two() { # two CODE LMS OF OPTION...: compiled
	code=$1
	cat >"$DIR/two.json" <<-EOF
		{"program": {"predict": "question -> answer"}, "trainset": "told.jsonl", "valset_size": 79, "testset_size": 40, "inputs": ["question"], "metric": "exact_match",
		 "optimizer": {"name": "ensemble", "of": $3, "reduce": "best_per_input"}, "lm": {"model": "hosted_vllm/left", "api_base": "$MOCK_URL"}, "lms": $2}
	EOF
	shift 3
	run "$code" "$PROGRAM" compile "$DIR/two.json" --cache="$DIR/answers-two" --out="$DIR/two" "$@"
}
of_two() { run "$1" "$PROGRAM" eval "$DIR/two.json" --program="$DIR/$2" --cache="$DIR/answers-two" --out="$DIR/of-two"; } # of_two CODE FILE: its score
check "one program of two models is two members" eval 'two 0 "{\"other\": $RIGHT}" "[{$K0}, {$K0, \"lm\": \"other\"}]" --budget.calls=1000 && [ "$(json chosen "$DIR/out")" = best_per_input ] && [ "$(json ensemble.testset.committee.score "$DIR/out")" = 1 ]'
check "each input is asked of its model; scored before, without a call" eval 'of_two 0 two/program.json && [ "$(json testset.score "$DIR/out")" = 1 ] && [ "$(json calls "$DIR/out")" = 0 ]'
check "diff asks each file's model" eval 'run 0 "$PROGRAM" diff "$DIR/two/members/1/program.json" "$DIR/two/members/2/program.json" --job "$DIR/two.json" && grep -q "B better on 20" "$DIR/out" && grep -q "A better on 20" "$DIR/out"'
check "a member's file names its model, which is asked" eval '[ "$(json metadata.dspy_mpi.role "$DIR/two/members/2/program.json")" = other ] && [ "$(json metadata.dspy_mpi.model "$DIR/two/members/2/program.json")" = hosted_vllm/right ] && kill $RIGHT_PID && run 69 "$PROGRAM" eval "$DIR/two.json" --program="$DIR/two/members/2/program.json" --out="$DIR/of-two" --lms="{\"other\": ${RIGHT%\}}, \"num_retries\": 0, \"outage\": 1}}"'
"$PROGRAM" ensemble "$DIR/two/members/2/program.json" "$DIR/two/members/1/program.json" "$DIR/two/members/2/program.json" >"$DIR/of-files.json" 2>"$DIR/err"
check "an ensemble of such files has the models, too" eval 'of_two 0 of-files.json && [ "$(json testset.score "$DIR/out")" = 0.5 ] && [ "$(json calls "$DIR/out")" = 0 ] && [ "$(json metadata.dspy_mpi.ensemble.roles "$DIR/of-files.json" | tr -d " \n")" = "[\"other\",null,\"other\"]" ]'
check "show has them for DSPy" eval 'run 0 "$PROGRAM" show "$DIR/two/program.json" && grep -qF "ensemble.programs[1].set_lm(dspy.LM('"'hosted_vllm/right'"', temperature=0.5))" "$DIR/out"'
check "without that model it is not run" eval 'run 78 "$PROGRAM" run "$DIR/two/program.json" --input question=q && said "lms.other: give that model"'
check "a model that no member asks is refused, and one that is not there" eval 'two 78 "{\"other\": $RIGHT}" "[{$K0}]" && said "no member asks this model" && two 78 "{\"other\": $RIGHT}" "[{$K0, \"lm\": \"other\"}, {$K0, \"lm\": \"another\"}]" && said "the job has no model lms.another"'
