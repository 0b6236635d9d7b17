# What advise says of fifteen jobs, with how many calls; that its answers are paid once and the same at any number of
# ranks; and init: the job that it writes for each kind of data passes check. The data sets and the planted jobs of
# ../shared are tried too where they are (the jobs with BIG=1).
. tests/lib.sh
HOST=$PWD/scripts/metric-host SHARED=$PWD/../shared
cd "$DIR" || exit 70

# rows FROM TO [GOOD-EVERY [MODULO]]: reviews, of which each second (or GOOD-EVERYth) is good
rows() {
	awk -v from="$1" -v to="$2" -v every="${3:-2}" -v modulo="${4:-1000000}" 'BEGIN {
		for (i = from; i < to; i++) {
			k = i % modulo
			good = every > 0 ? k % every == 0 : k % -every != 0
			printf "{\"id\": \"r%d\", \"review\": \"guest %d found the soup %s, bill %d\", \"label\": \"%s\"}\n", k, k, good ? "lovely" : "cold", k * 7919 % 10007, good ? "good" : "bad"
		}
	}'
}
printf 'def metric(example, prediction, trace=None):\n    return True\n' >const.py
printf 'def metric(example, prediction, trace=None):\n    return example.answer == prediction.label\n' >brk.py
printf 'n = 0\ndef metric(example, prediction, trace=None):\n    global n\n    n += 1\n    return 0.4 if n %% 2 else 0.7\n' >turns.py
# job NAME METRIC [KEYS]: over NAME.train, NAME.val, NAME.test.jsonl, as far as they are there
job() {
	sets=""
	for s in val test; do [ -f "$1.$s.jsonl" ] && sets="$sets \"${s}set\": \"$1.$s.jsonl\","; done
	echo "{\"program\": {\"predict\": \"review -> label${4-: Literal['good', 'bad']}\"}, \"inputs\": [\"review\"], \"metric\": $2, \"optimizer\": \"mipro_v2\", \"trainset\": \"$1.train.jsonl\",$sets \"lm\": ${3:-\"embedded/stand-in\"}}" >"$1.json"
}
sets() { rows 0 "$2" "${3:-2}" >"$1.train.jsonl"; rows 1000 $((1000 + $4)) "${3:-2}" >"$1.val.jsonl"; rows 2000 2060 >"$1.test.jsonl"; }
# advised NAME VERDICT WORDS [FLAGS]: and at most 160 calls
advised() {
	name=$1 verdict=$2 words=$3
	shift 3
	run 0 "$PROGRAM" advise "$name.json" "$@" && [ "$(json verdict out)" = "$verdict" ] && [ "$(json calls out)" -le 160 ] &&
		grep -qF -- "$words" err && tail -1 out | grep -qF -- "\"reasons\": [\""
}
plan 67

# ---- jobs with something planted ----
sets good 120 2 60 && job good '"exact_match"'
check "good: worth it, by demonstrations that gain" advised good worth_it "below 80 %"
sets few 12 2 8 && rm few.test.jsonl && job few '"exact_match"'
check "12 examples: more of them first" advised few more_examples "12 distinct training examples"
rows 0 1 >alone.train.jsonl && job alone '"exact_match"'
check "one example: likewise" advised alone more_examples "1 distinct training example: "
sets slim 120 2 6 && job slim '"exact_match"'
check "six examples to validate on: that they show nothing is a reason" advised slim worth_it "6 different validation examples cannot show any gain"
check "one call: a reason, too" advised good unclear "one example may take more calls than are allowed" --calls=1 --out=one-call
check "what was given as options is in the command to type next" eval 'advised good worth_it "below 80 %" --seed=3 --out=other && [ "$(json next out)" = "dspy-mpi compile good.json --seed=3 --out=other" ]'
sets leak 120 2 60 && { rows 0 40; rows 1040 1060; } >leak.val.jsonl && job leak '"exact_match"'
check "validation rows that stand in the training set" advised leak fix_first "40 of 60 validation examples are also in the training set: r0, r1, r2, ..."
check "nobody was asked for that" [ "$(json calls out)" = 0 ]
check "compile says the same in a line" sh -c "'$PROGRAM' compile leak.json --budget.calls=20 --out=leak.out 2>&1 | grep -q 'advice: something to fix first: 40 of 60'"
sets leaktest 120 2 60 && { rows 0 30; rows 2000 2030; } >leaktest.test.jsonl && job leaktest '"exact_match"'
check "test rows that stand in the training set" advised leaktest fix_first "30 of 60 test examples are also in the training set"
sets dup 120 2 60 && rows 0 120 2 10 >dup.train.jsonl && job dup '"exact_match"'
check "ten rows twelve times" advised dup more_examples "only 10 of 120 training examples are distinct"
sets one 120 1 60 && job one '"exact_match"'
check "a label that only the test set has" advised one fix_first "30 of 60 test examples have a label that the training set never has: bad"
sets rare 120 -20 60 && job rare '"exact_match"'
check "a label that nearly always holds" advised rare fix_first "a program that always answers that scores 95 %"
sets const 120 2 60 && job const "{\"command\": [\"python3\", \"$HOST\", \"const:metric\"]}"
check "a metric that is always content" advised const fix_first "right and wrong answers score the same (1)"
sets brk 120 2 60 && job brk "{\"command\": [\"python3\", \"$HOST\", \"brk:metric\"]}"
check "a metric that breaks on the labels" advised brk fix_first "it fails on the labels themselves"
sets turns 120 2 60 && job turns "{\"command\": [\"python3\", \"$HOST\", \"turns:metric\"]}"
check "a metric that says 0.4 and then 0.7" advised turns fix_first "it is not repeatable"
check "check says so too" sh -c "'$PROGRAM' check turns.json | grep -q 'it is not repeatable'"
printf 'def metric(example, prediction, trace=None):\n    return prediction.label == "good"\n' >one.py
sets onesided 120 -3 60 && rm onesided.test.jsonl && job onesided "{\"command\": [\"python3\", \"$HOST\", \"one:metric\"]}"
check "a metric that never looks at the label" advised onesided fix_first "the labels themselves, given as answers, score 0 in "
printf 'def metric(example, prediction, trace=None):\n    return 1 if prediction.label == example.label else 0.95\n' >near.py
sets nearly 120 2 60 && job nearly "{\"command\": [\"python3\", \"$HOST\", \"near:metric\"]}"
check "a metric that gives wrong answers nearly all" advised nearly fix_first "it hardly tells right answers from wrong ones"
sets typed 120 2 60 && sed -i '1~3s/"good"/"Good"/' typed.train.jsonl && job typed '"exact_match"'
check "labels that the output's type does not have" advised typed fix_first "20 of 120 training labels are not of the output's type"
add_why() { # a column of prose
	for s in train val; do
		awk '{ match($0, /"r[0-9]+"/); k = substr($0, RSTART + 2, RLENGTH - 3); sub(/}$/, ", \"why\": \"the guests of table " k " liked neither soup nor bill and went home early on day " k * 3 "\"}"); print }' "$1.$s.jsonl" >p && mv p "$1.$s.jsonl"
	done
}
sets scored 120 2 60 && rm scored.test.jsonl && add_why scored
job scored '{"name": "exact_match", "field": "label"}' "" ": Literal['good', 'bad'], why"
sed -i 's/review -> label: Literal\[.*\], why"/review -> why, label: Literal['"'good', 'bad'"']"/' scored.json
check "prose that no metric looks at is no fault" advised scored worth_it "below 80 %"
sed 's/"field": "label"/"field": "why"/' scored.json >scored2.json
check "prose that the metric looks at is one" advised scored2 fix_first "the labels are prose"
# The validation rows that are tried have the first one's label: it is not wrong there because its prose is another one,
# or because it is in capitals.
sets wordy 120 -3 60 && rm wordy.test.jsonl && add_why wordy && sed 's/scored\./wordy./g' scored.json >wordy.json
check "an answer is wrong where its label is, not its prose" advised wordy worth_it "below 80 %"
sets cased 120 -3 60 && sed -i '1s/"good"/"Good."/' cased.val.jsonl && job cased '"f1"' "" ""
check "an answer in capitals is no wrong one" advised cased worth_it "below 80 %"
sets blank 120 2 60 && rm blank.test.jsonl && sed -i '1~3s/"label": "[a-z]*"/"label": ""/' blank.train.jsonl blank.val.jsonl && job blank '"f1"' "" ""
check "empty labels under a metric that gives them nothing" advised blank fix_first "they are empty there, so no answer can be right"
sets gap 120 2 60 && sed -i '1s/, "label": "good"//' gap.train.jsonl && job gap '"exact_match"'
check "a row without a label is named" sh -c "! '$PROGRAM' advise gap.json 2>err && grep -qF 'gap.train.jsonl: example 1 has no column \"label\"' err"
sets contra 120 2 60 && rows 0 30 | sed 's/"label": "good"/"label": "worse"/; s/"label": "bad"/"label": "good"/; s/worse/bad/' >>contra.train.jsonl && job contra '"exact_match"'
check "inputs with two labels" advised contra fix_first "30 inputs of the training set have two labels, 60 of 150 rows"
sets prose 120 2 60 && rm prose.test.jsonl && for s in train val; do
	awk '{ match($0, /"r[0-9]+"/); k = substr($0, RSTART + 2, RLENGTH - 3); printf "{\"id\": %s, \"review\": \"sum up no. %s\", \"label\": \"the guests of table %s liked neither soup nor bill and went home early on day %s\"}\n", k, k, k, k * 3 }' prose.$s.jsonl >p && mv p prose.$s.jsonl
done && job prose '"exact_match"' "" ""
check "prose under exact_match" advised prose fix_first "the labels are prose"

# ---- scores that a server gives ----
asked() { stat_of requests; }
scored() { # NAME BASE SEED [KEYS]: a job whose start scores BASE per mille
	start_mock --rule "planted:base=$2,mix=1000,seed=$3"
	"$MOCK" --make-data 300 "$3" 0 >"$1.train.jsonl" && "$MOCK" --make-data 100 "$3" 1000 >"$1.val.jsonl"
	echo "{\"program\": ${5:-{\"predict\": \"question -> answer\"\}}, \"inputs\": [\"question\"], \"metric\": \"exact_match\", \"optimizer\": \"mipro_v2\", \"trainset\": \"$1.train.jsonl\", \"valset\": \"$1.val.jsonl\", \"lm\": {\"model\": \"hosted_vllm/any\", \"api_base\": \"$MOCK_URL\", \"max_tokens\": 100, \"price\": {\"prompt\": 3, \"completion\": 15}}$4}" >"$1.json"
}
scored full 990 1
check "99 %: little to gain" advised full little_to_gain "above 90 % already"
check "and no headroom asked for" [ "$(json headroom out)" = "[]" -a "$(asked)" -le 100 ]
stop_mock
scored half 500 1
check "50 %: worth it" advised half worth_it "below 80 %"
check "the start is decided at the first look, and 20 examples are asked for each probe" [ "$(asked)" = 80 -a "$(json start.n out)" = 20 ]
before=$(asked)
check "what cannot pay is little to gain" advised half little_to_gain "uses would have to gain" --uses=10 --value='$0.001'
check "with what a use bears, and after how many it has paid" advised half worth_it "pay after" --uses=1M --value='$0.05'
check "answers that are known are not paid for again" [ "$(asked)" = "$before" ]
stop_mock
scored open 850 5
check "85 %: unclear, and what would decide" advised open unclear "it depends on what a point is worth"
check "at most 160 calls, counted at the server" [ "$(asked)" -le 160 -a "$(asked)" -ge 150 ]
cp out alone
before=$(asked)
check "--calls 400 asks for what is new alone" sh -c "'$PROGRAM' advise open.json --calls 400 >out 2>err"
check "and the interval is shorter" [ "$(asked)" -le 400 -a "$(json start.n out)" = 340 ]
before=$(asked)
check "--fresh asks for all of it again" sh -c "'$PROGRAM' advise open.json --fresh >out 2>err"
check "though it was known" [ "$(asked)" -ge $((before + 150)) ]
rm -rf open.advice
same() { for key in verdict reasons start headroom next; do [ "$(json $key out)" = "$(json $key alone)" ] || return 1; done; }
check "the same words on three ranks" sh -c "'$PROGRAM' launch -n 3 advise open.json >out 2>err"
check "about the same numbers" same
check "the job's budget holds" sh -c "rm -rf open.advice; '$PROGRAM' advise open.json --budget.calls=30 2>err | grep -q '\"calls\": \\([0-9]\\|[12][0-9]\\|30\\),'"
stop_mock
two='{"steps": [{"name": "think", "chain_of_thought": "question -> answer"}, {"name": "say", "predict": "question, reasoning -> answer"}]}'
scored steps 850 3 "" "$two"
check "two calls an example: 160 in all" advised steps unclear "start program"
check "and no more at the server" [ "$(asked)" -le 160 ]
stop_mock
echo '{"match": "", "content": "I would rather not say"}' >mute.rules
scored mute 500 1
stop_mock
start_mock --rule script:mute.rules
sed -i "s|http://127.0.0.1:[0-9]*/v1|$MOCK_URL|" mute.json
check "answers that do not parse, each in two calls" advised mute worth_it "do not parse"
check "within 160 of them" [ "$(asked)" -le 160 ]
stop_mock
rm -rf mute.advice
check "no server: exit 69" run 69 "$PROGRAM" advise mute.json --lm.outage=0.2s
check "and no verdict" [ ! -s out ]

# ---- keys that are ignored ----
sed 's|{"program": {|{"//": "a word", "// x": {"lm": 1}, "program": {"//": ["two"], |' good.json >noted.json
check "// keys are ignored at any depth" sh -c "'$PROGRAM' check noted.json >/dev/null && '$PROGRAM' eval noted.json >out"
check "and make no other job" sh -c "'$PROGRAM' compile good.json --optimizer=labeled_few_shot --out=o >/dev/null 2>&1 && '$PROGRAM' compile noted.json --optimizer=labeled_few_shot --out=o 2>&1 | grep -q 'is finished'"

# ---- init ----
awk 'BEGIN { print "id,text,label"; for (i = 0; i < 60; i++) printf "%d,\"room %d, floor %d\",%s\n", i, i, i % 7, i % 3 ? "clean" : "dirty" }' >rooms.csv
awk 'BEGIN { for (i = 0; i < 40; i++) printf "{\"question\": \"what is %d + %d?\", \"answer\": \"%d\", \"rationale\": \"add\"}\n", i, i + 3, 2 * i + 3 }' >sums.jsonl
awk 'BEGIN { for (i = 0; i < 40; i++) printf "{\"domain\": \"hotel\", \"text\": \"%d beds\", \"slots\": {\"beds\": \"%d\"}}\n", i, i }' >slots.jsonl
awk 'BEGIN { for (i = 0; i < 60; i++) printf "{\"question\": \"which is %d?\", \"choices\": [\"%d\", \"%d\"], \"answer\": \"%s\"}\n", i, i, i + 1, i % 2 ? "A" : "B" }' >pick.jsonl
awk 'BEGIN { for (i = 0; i < 60; i++) printf "{\"document\": \"report %d\", \"summary\": \"the %d men of the house who went out to sea have come home again with %d fish\"}\n", i, i, i * i }' >prose2.jsonl
awk 'BEGIN { for (i = 0; i < 60; i++) printf "{\"text\": \"mail %d\", \"label\": \"%s\"}\n", i, i < 30 ? "ham" : "spam" }' >sorted.jsonl
made() { # DATA WORDS...: the job that init writes for it has the words, and passes check
	file=$1 bad=""
	shift
	run 0 "$PROGRAM" init "$file" || return 1
	for words in "$@"; do grep -qF -- "$words" "${file%.*}.json" || bad="$bad no $words"; done
	[ -z "$bad" ] && run 0 "$PROGRAM" check "${file%.*}.json"
}
check "init, CSV of two classes" made rooms.csv "text -> label: Literal['clean', 'dirty']" '"exact_match"' '"valset_size": 0.4'
check "init, numbers" made sums.jsonl '"chain_of_thought": "question -> answer"' '"numeric"' 'rationale'
check "init, fields of an object" made slots.jsonl 'slots: dict[str, str]' '"json_fields"'
check "init, choices by letter" made pick.jsonl "choices: list[str] -> answer: Literal['A', 'B']" "A stands for the first one"
check "init, prose" made prose2.jsonl '"rouge_l"'
check "init says that the rows stand in the order of their labels" sh -c "'$PROGRAM' init sorted.jsonl 2>&1 | grep -q 'shuffle the file first'"
cp rooms.json before.json
awk 'BEGIN { print "id,text,target"; for (i = 0; i < 60; i++) printf "%d,\"mail %d\",%s\n", i, i, i % 2 ? "ham" : "spam" }' >race.train.csv
awk 'BEGIN { print "id,text"; for (i = 0; i < 60; i++) printf "%d,\"letter %d\"\n", i, i }' >race.test.csv
check "init leaves out a test set without labels, and says so" eval 'run 0 "$PROGRAM" init race.train.csv --out=race.job && said "race.test.csv is left out: it has no target" && grep -q "Literal\[.ham., .spam.\]" race.job && ! grep -q race.test race.job && run 0 "$PROGRAM" check race.job'
echo "id,text,target" >race.test.csv && sed -n '2,50s/spam$//p; 2,50s/ham$//p' race.train.csv >>race.test.csv
check "also one whose labels are empty" eval 'run 0 "$PROGRAM" init race.train.csv --out=race2.job && said "race.test.csv is left out"'
sed 's/^{/[{/; s/}$/},/; $s/,$/]/; 2,$s/^\[//' sums.jsonl >sums2.json
check "init does not take the data's own name" eval 'run 0 "$PROGRAM" init sums2.json && [ "$(json job out)" = sums2-job.json ] && run 0 "$PROGRAM" check sums2-job.json && run 73 "$PROGRAM" init sums2.json'
awk 'BEGIN { for (i = 0; i < 60; i++) printf "{\"text\": \"mail %d\", \"label\": \"%s\"}\n", i, i % 2 ? "ham" : "spam" }' >mail.train.jsonl
sed 's/mail/letter/; s/"ham"/"spam"/' mail.train.jsonl >mail.test.jsonl
check "init does not take a test file for the order of the rows" eval 'run 0 "$PROGRAM" init mail.train.jsonl --out=mail.job && ! said shuffle'
check "init overwrites nothing" run 73 "$PROGRAM" init rooms.csv
check "and leaves the file as it was" cmp -s rooms.json before.json
echo '{"text": "a", "class": "b"}' >words.jsonl
check "a column that is no name is named" sh -c "'$PROGRAM' init words.jsonl; [ \$? = 65 ]"

# ---- what lies in ../shared ----
if [ -d "$SHARED/data" ]; then
	bad=""
	mkdir data
	for folder in "$SHARED"/data/*/; do
		[ -f "$folder/train.jsonl" ] || continue
		name=$(basename "$folder")
		"$PROGRAM" init "$folder" --out="data/$name.json" >/dev/null 2>&1 && "$PROGRAM" check "data/$name.json" >out 2>err || bad="$bad $name"
	done
	echo "# not: ${bad:-none}" >err
	check "init for each data set of ../shared, and check" [ -z "$bad" -a "$(ls data | wc -l)" -ge 30 ]
else
	skip "../shared is not there"
fi
if [ -n "$BIG" ] && [ -d "$SHARED/ensemble/advice-jobs" ]; then
	bad=""
	mkdir planted && cp "$SHARED"/ensemble/advice-jobs/* planted && chmod u+w planted/* && cd planted || exit 70
	for file in [01][0-9]-*.json; do sed -i "s|METRIC_HOST|$HOST|" "$file"; done
	for want in 01-good:worth_it 02-few:more_examples 03-leak:fix_first 04-leaktest:fix_first 05-dup:more_examples 06-onelabel:fix_first 07-imbalance:fix_first 08-constmetric:fix_first 09-brokenmetric:fix_first 10-randommetric:fix_first 11-contradict:fix_first 12-openended:fix_first; do
		"$PROGRAM" advise "${want%:*}.json" >out 2>../err
		[ "$(json verdict out)" = "${want#*:}" ] || bad="$bad $want"
	done
	cd ..
	check "the twelve planted jobs of ../shared$bad" [ -z "$bad" ]
else
	skip "BIG=1 tries the twelve planted jobs of ../shared"
fi
