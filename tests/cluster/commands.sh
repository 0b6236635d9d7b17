# Every command as a user meets it: what it prints, what it reads, where it ends. No command ends in 0 when
# its answer could not be written, and none takes an option that nothing reads.
. tests/lib.sh
plan 105
start_mock --rule planted --seed 3
"$MOCK" --make-data 60 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 40 3 1000 >"$DIR/val.jsonl"
cd "$DIR" || exit 70
job() { # job MORE
	cat >job.json <<EOF
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 8} $1}
EOF
}
refused() { # refused NAME CODE WORDS COMMAND...
	name=$1 code=$2 words=$3
	shift 3
	if run "$code" "$PROGRAM" "$@" && said "$words"; then ok "$name: $(tail -1 err | cut -c1-150)"; else not_ok "$name (wanted $code and \"$words\")" err out; fi
}
out_has() { grep -qF -- "$1" out; }

# help and version
check "--version" run 0 "$PROGRAM" --version
versions() { run 0 "$PROGRAM" --version --verbose && grep -q "MPI" "$DIR/out" && grep -q "^libcurl/" "$DIR/out" && grep -q "^records of a journal DMJ1, messages between ranks [0-9]*$" "$DIR/out"; }
check "--version --verbose: libraries and formats" versions
check "says it" out_has "dspy-mpi 0."
check "--help" run 0 "$PROGRAM" --help
for command in compile eval run show export check plan ensemble stop cache launch; do
	check "$command --help" run 0 "$PROGRAM" "$command" --help
	mv out one
	run 0 "$PROGRAM" help "$command"
	check "help $command says the same" sh -c "cmp -s one out && [ -s one ] && ! grep -q '(null)' one"
done
check "no command: the help, and 64" run 64 "$PROGRAM"
for word in complie:compile evaluate:eval chek:check lauch:launch caches:cache Show:show; do
	refused "$word" 64 "there is no command \"${word%%:*}\"; did you mean ${word##*:}?" "${word%%:*}"
done
refused "a job in the place of a command" 64 "did you mean dspy-mpi compile job.json?" job.json
for command in compile eval check plan; do refused "$command without a file" 64 "$command needs a job file: dspy-mpi $command JOB.json" $command; done
refused "a number of restarts that is none" 64 "--restarts takes a number" launch -n 2 --restarts x compile job.json

# options
job ', "optimizer": "labeled_few_shot"'
refused "a flag of the wrong type is the command line's fault" 64 "--seed: a whole number" check job.json --seed=abc
sed 's/"concurrency": 8/"concurrency": 8, "num_retries": 1, "concurrency": 9/' job.json >twice.json
check "a key twice in the job" run 0 "$PROGRAM" check twice.json
check "is said with its place" said "twice.json:2:"
check "the last one counts" out_has "9 calls in flight allowed"
refused "a flag of another optimizer" 64 "--optimizer.max_rounds: labeled_few_shot does not read it" check job.json --optimizer.max_rounds=2
refused "inside of an object on a flag" 64 "--program.predict" check job.json '--program={"predict": 3}'
printf '{"instructions": "x"}' >teacher.json
refused "a teacher that nothing asks" 64 "no teacher" check job.json --teacher=teacher.json
refused "a model of a role that nothing asks" 64 "asks no model of this role" check job.json '--lms={"teacher": "embedded/stand-in"}'
refused "max_errors where nothing is counted" 64 "runs nothing" check job.json --max_errors=3
refused "an optimizer that is not there" 64 "no optimizer is called" compile job.json --optimizer=mipro_v9
check "leaves no OUT behind" [ ! -e job ]
refused "num_threads and concurrency that differ" 64 "with another value" check job.json --optimizer.num_threads=9
check "num_threads and concurrency that agree" run 0 "$PROGRAM" check job.json --optimizer.num_threads=8
check "a value behind a blank" run 0 "$PROGRAM" check job.json --lm.concurrency 3
check "is read" out_has "3 calls in flight allowed"

while read -r word near; do # keys as others call them, in the file and as flags
	for where in flag judge file; do
		case $where in
		flag) set -- 64 --lm.$near check job.json "--lm.$word=1" ;;
		judge) set -- 64 --lms.judge.$near check job.json "--lms.judge.$word=1" ;;
		file) job ", \"lms\": {\"task\": {\"model\": \"embedded/stand-in\", \"$word\": 1}}" && set -- 78 "\"$near\"" check job.json ;;
		esac
		code=$1 meant=$2
		shift 2
		run "$code" "$PROGRAM" "$@" && said "did you mean $meant?" || slips="$slips $where $word: $(tail -1 err);"
	done
done <<-END
	temprature temperature
	max_token max_tokens
	base_url api_base
	api_key api_key_env
	num_threads concurrency
	Retries num_retries
	max-tokens max_tokens
END
check "what is meant by a key of a model that is none${slips:+, but$slips}" [ -z "$slips" ]
job ', "optimizer": {"name": "mipro_v2", "max_bootstraped_demos": 3}'
refused "a parameter with a slip" 78 'did you mean "max_bootstrapped_demos"?' check job.json
job ', "optimizer": "MIPRO"'
refused "an optimizer that is nearly there" 78 'did you mean "mipro_v2"?' check job.json

# check and plan
job ', "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 2}'
before=$(stat_of requests)
check "check" run 0 "$PROGRAM" check job.json
check "counts, columns, labels" grep -q 'answer: [a-z]* [0-9]*, [a-z]* [0-9]*, [a-z]* [0-9]*, [a-z]* [0-9]*$' out
check "what the job fills" out_has "200 (search)"
run 0 "$PROGRAM" check job.json "--program={\"predict\": \"question -> answer: Literal['red', 'blue', 'green', 'pink']\"}" --metric=exact_match
check "labels that no answer can have" grep -q "answer: [0-9]* of 60 labels are not of type Literal\['red', 'blue', 'green', 'pink'\] (example [0-9]*: grey)" out
check "plan" run 0 "$PROGRAM" plan job.json
printf '{"program": {"predict": "question -> answer"}, "testset": "train.jsonl", "metric": "answer_exact_match", "lm": "embedded/stand-in", "optimizer": "mipro_v2"}' >untrained.json
check "check of a job without a training set" run 0 "$PROGRAM" check untrained.json
check "neither calls anything nor makes OUT" [ "$(stat_of requests)$(ls -d job 2>/dev/null)" = "$before" ]
within() { # within MORE: a compile makes at least as many calls as plan's low, at most its high
	job "$1"
	run 0 "$PROGRAM" plan job.json && low=$(json calls.low out) high=$(json calls.high out) || return 1
	before=$(stat_of requests)
	run 0 "$PROGRAM" compile job.json --fresh || return 1
	calls=$(($(stat_of requests) - before))
	echo "$low to $high: $calls" >told
	[ "$calls" -ge "$low" ] && [ "$calls" -le "$high" ] && [ "$calls" = "$(json calls out)" ]
}
for optimizer in '"labeled_few_shot"' '{"name":"bootstrap_few_shot","max_rounds":2}' '{"name":"BootstrapRS","num_candidate_programs":3}' \
	'{"name":"BootstrapRS","num_candidate_programs":3,"race":true}' '{"name":"BootstrapRS","num_candidate_programs":3,"race":"halving"}' \
	'"mipro_v2"' '{"name":"MIPROv2","search":"mipro"}' \
	'{"name":"BootstrapRS","num_candidate_programs":3,"restrict":[1]}' '{"name":"BootstrapRS","num_candidate_programs":2,"stop_at_score":1}' \
	'{"name":"BootstrapRS","num_candidate_programs":3,"max_labeled_demos":0}' '{"name":"BootstrapRS","num_candidate_programs":2,"max_bootstrapped_demos":0}'; do
	within ", \"optimizer\": $optimizer" && ok "plan holds for $optimizer: $(cat told)" || not_ok "plan for $optimizer: $(cat told)" err out
done

# eval, run, show
job ', "optimizer": "labeled_few_shot"'
run 0 "$PROGRAM" compile job.json --fresh
compiled=$(json valset.compiled.score out)
mkdir -p elsewhere
check "eval of a program file, from another folder" sh -c "cd elsewhere && '$PROGRAM' eval ../job.json --program=../job/program.json >../out 2>../err"
check "is what compile scored" [ "$(json valset.score out)" = "$compiled" ]
check "run: one object a line, in order" sh -c "'$PROGRAM' run job/program.json --job=job.json --inputs val.jsonl >out 2>err && [ \$(wc -l <out) = 40 ] && head -1 out | grep -q '^{\"answer\": '"
check "the same on ranks" sh -c "cp out one && ASAN_OPTIONS=detect_leaks=0 mpirun --oversubscribe -n 3 '$PROGRAM' run job/program.json --job=job.json --inputs val.jsonl >out 2>err && cmp -s one out"
cat >other.json <<EOF
{"program": {"predict": "question -> answer"}, "teacher": "gone.json", "trainset": "gone.jsonl", "out": "\${NOT_SET_ANYWHERE}/x",
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL"}, "optimizer": "mipro_v2"}
EOF
check "of --job only program, model and adapter are read" run 0 "$PROGRAM" run job/program.json --job=other.json --input question=x
printf '{"question": "item 1: what is its label?"}\n{"x": 1}\n{}\n' >some.jsonl
check "run warns of missing inputs" sh -c "'$PROGRAM' run job/program.json --job=job.json --inputs some.jsonl 2>&1 >/dev/null | grep -q 'input \"question\" is missing in 2 of 3, first in number 2'"
check "show warns of a missing input" sh -c "'$PROGRAM' show job/program.json --messages 2>&1 >/dev/null | grep -q 'input \"question\" is missing'"

# The stand-in by its short name; the job's own program; OUT in the place of its program.
run 0 "$PROGRAM" check job.json --lm=embedded
check "lm \"embedded\" is the stand-in" grep -q '^model  *embedded/stand-in' out
run 0 "$PROGRAM" run job.json --input question=x && mv out one
check "run --job JOB is run JOB" sh -c "'$PROGRAM' run --job job.json --input question=x >out && cmp one out && [ -s one ]"
run 0 "$PROGRAM" show job/program.json && mv out one
check "show OUT is show OUT/program.json" sh -c "'$PROGRAM' show job >out && cmp one out && grep -q demonstration one"
run 0 "$PROGRAM" show job.json
check "show JOB is its program as written" sh -c "grep -q '^question: str -> answer: str' out && ! grep -q demonstration out"
check "and so with --job" sh -c "cp out one && '$PROGRAM' show --job job.json >out && cmp one out"
check "eval of an OUT" run 0 "$PROGRAM" eval job.json --program=job
refused "a program file in the place of a job" 78 "is a program file, and a job file is needed here" compile job/program.json
refused "an OUT in the place of a job" 78 "is a folder, and a job file is needed here" eval job
refused "an OUT after --job" 78 "is a folder, and a job file is needed here" show --job job
mkdir bare
refused "a folder that is no OUT" 65 "no OUT of a compile" show bare
refused "nothing to show" 64 "a program is missing" show
sed 's/"valset": "val.jsonl", //' job.json >unscored.json
run 0 "$PROGRAM" compile unscored.json --optimizer=bootstrap_few_shot
check "nothing to score on: it is said" said "nothing was scored: the job has neither a validation set"
run 0 "$PROGRAM" compile job.json --optimizer=bootstrap_few_shot --out=scored
check "and not where there is a set" sh -c "! grep -q 'nothing was scored' err"
run 0 "$PROGRAM" compile job.json --optimizer=bootstrap_few_shot_with_random_search --budget.calls=1 --out=capped
check "nor where a cap left nothing for it" sh -c "[ -f capped/program.json ] && ! grep -q 'nothing was scored' err"
run 0 "$PROGRAM" compile job.json --optimizer=labeled_few_shot --optimizer.k=1 --out=labelled
check "a validation set that chose nothing is not said to have chosen" sh -c "grep -q 'On [0-9]* validation examples\? the compiled program' labelled/report.html && ! grep -q 'which chose it' labelled/report.html"
run 0 "$PROGRAM" compile job.json --optimizer=mipro_v2 --out=levels
check "trials.csv has instructions and demonstrations apart" sh -c "head -1 levels/trials.csv | grep -q ',file,instructions,demos,prompt_tokens,front\$' && sed 1d levels/trials.csv | grep -qE ',candidates/[0-9]+.json,[0-9]+,[0-9]+,[0-9]+,[01]\$' && ! sed 1d levels/trials.csv | grep -qvE ',candidates/[0-9]+.json,[0-9]+,[0-9]+,[0-9]+,[01]\$'"

# OUT
mkdir mine && echo x >mine/precious
run 0 "$PROGRAM" compile job.json --fresh --out=mine
check "--fresh moves no folder that is none of ours" [ -f mine/precious ]
run 0 "$PROGRAM" compile job.json --fresh --out=mine
check "but its own" [ -f mine.1/precious ]

# An answer that could not be written is no success.
full=""
for words in "compile job.json" "eval job.json" "check job.json" "plan job.json" "show job/program.json" "run job/program.json --job=job.json --input question=x" --version; do
	"$PROGRAM" $words >/dev/full 2>err
	[ $? = 73 ] && said "cannot be written" || full="$full $words;"
done
check "a full disk behind stdout: 73${full:+, but not $full}" [ -z "$full" ]
check "a reader that leaves early is none" sh -c "{ '$PROGRAM' run job/program.json --job=job.json --inputs val.jsonl; echo \$? >code; } 2>err | head -1 >/dev/null; [ \$(cat code) = 0 ]"

# Nothing usable is no compilation, with or without a set to score on.
stop_mock
cd - >/dev/null || exit 70
start_mock --rule planted --fault no_parse=1
cd "$DIR" || exit 70
sed -i 's/"valset": "val.jsonl", //' job.json
check "no answer parses, nothing to score on: 69" run 69 "$PROGRAM" compile job.json --lm.api_base="$MOCK_URL" --optimizer=bootstrap_few_shot --fresh
check "no program is written" [ ! -e job/program.json ]
printf '#!/bin/sh\nwhile read -r line; do echo "{\\"error\\": \\"no good\\"}"; done\n' >bad && chmod +x bad
refused "a metric that always fails" 65 "no good" eval job.json --split=trainset --lm=embedded/stand-in '--metric={"command": ["./bad"]}'
