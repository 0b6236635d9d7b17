# A metric as a shared library: built with the public header alone, scored in each rank, the same program at any number of
# ranks; what it says, what it does wrong, and what is no such library.
LEAKS=0 # what Open MPI leaves at its end is not ours
. tests/lib.sh
plan 22
ROOT=$PWD RANKS="2 5"
SAN=""
[ -n "${SANITIZED:-}" ] && SAN="-fsanitize=address,undefined"
library() { # library FILE [OPTION...]: the example, built as a stranger would
	file=$1
	shift
	# shellcheck disable=SC2086
	${CC:-cc} -std=c11 -Wall -Wextra -Werror -pedantic -D_DEFAULT_SOURCE -shared -fPIC -I"$ROOT/include" $SAN "$@" "$ROOT/tests/metric_example.c" -o "$DIR/$file"
}
seq 0 19 | sed 's/.*/{"question": "q&", "answer": "yes"}/' >"$DIR/train.jsonl"
seq 100 129 | sed 's/.*/{"question": "q&", "answer": "yes"}/' >"$DIR/val.jsonl"
start_mock --rule golden
job() { # job METRIC [OPTIMIZER]
	cat >"$DIR/job.json" <<X
{"program": {"predict": {"signature": "question -> answer", "instructions": "Answer."}}, "trainset": "train.jsonl", "valset": "val.jsonl", "inputs": ["question"], "metric": $1,
 "optimizer": ${2:-\"labeled_few_shot\"}, "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL"}}
X
}
count() { grep -c -- "$1" "$DIR/e/predictions.jsonl"; }
scored() { # scored OPTIONS: eval with them into $DIR/e
	rm -rf "$DIR/e"
	job "{\"library\": \"m.so\", \"options\": $1}"
	run "${2:-0}" "$PROGRAM" eval "$DIR/job.json" --out="$DIR/e"
}

check "the header alone builds it" library m.so
job '{"library": "m.so"}'
check "eval" run 0 "$PROGRAM" eval "$DIR/job.json" --out="$DIR/e"
check "as the built-in metric scores" [ "$(json valset.score "$DIR/out")" = "$(job '"exact_match"'; "$PROGRAM" eval "$DIR/job.json" 2>/dev/null | "$MOCK" --json-get valset.score)" ]
check "some are right and some are wrong" [ "$(count '"score": 1.0')" -gt 0 -a "$(count '"score": 0.0')" -gt 0 ]
search='{"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 3, "max_bootstrapped_demos": 2, "max_labeled_demos": 3}'
job '{"library": "m.so"}' "$search"
compile_at 1 "$DIR/w"
same_at_ranks $?
check "compiles to the same program at $RANKS ranks: $same" [ "$same" = yes ]
job '{"library": "m.so", "options": {"misbehave": "trace"}}' '"bootstrap_few_shot"'
compile_at 1 "$DIR/w"
check "it is shown the trace while bootstrapping, and else none" grep -q '"augmented"' "$DIR/w/program.json"
rm -rf "$DIR/w"
start_mock --rule tokens --record "$DIR/bodies"
job '{"library": "m.so"}' '{"name": "gepa", "max_metric_calls": 200}'
check "GEPA runs" compile_at 1 "$DIR/f"
check "and reads what it says" grep -q 'current_instruction.*another word than the label' "$DIR/bodies"

# what it does wrong
check "a score above 1" scored '{"misbehave": "large"}' 65
check "is no score, and is said" said 'same gave the score 7, which is not from 0 to 1'
check "nor is nan" sh -c "! grep -q 'score 0' '$DIR/err'"
scored '{"misbehave": "nan"}' 65
check "which is said too" said 'which is not from 0 to 1'
scored '{"misbehave": "silent"}' 65
check "one that says nothing is called by its name" said 'same failed and said nothing'
check "bytes that are no text" scored '{"misbehave": "bytes"}'
check "options that it refuses" scored '{"feild": "answer"}' 78
check "in its words, and where" said 'metric.options: same: it takes "field" alone, a text'

# what is none
job '{"library": "none.so"}'
check "no such file" run 78 "$PROGRAM" check "$DIR/job.json"
printf 'int main(void) { return 0; }\n' >"$DIR/other.c"
${CC:-cc} -shared -fPIC "$DIR/other.c" -o "$DIR/other.so"
job '{"library": "other.so"}'
run 78 "$PROGRAM" check "$DIR/job.json"
check "no metric in it" said 'exports no function dspy_mpi_metric'
library old.so -DVERSION=0
job '{"library": "old.so"}'
run 78 "$PROGRAM" check "$DIR/job.json"
check "another version" said 'was built for version 0 of dspy_mpi/metric.h, and this is version 1; build it again'
job '{"library": "m.so", "option": {}}'
run 78 "$PROGRAM" check "$DIR/job.json"
check "a key that is none" said 'did you mean "options"?'

# another file is another metric
job '{"library": "m.so"}' "$search"
rm -rf "$DIR/w"
compile_at 1 "$DIR/w"
library m.so -DANOTHER -O1 -g0 -DX=1 -Wl,--build-id=0x01
check "a library that was built anew is another job" run 73 "$PROGRAM" compile "$DIR/job.json" --out="$DIR/w"
check "which is said" said '(`metric` differs)'
