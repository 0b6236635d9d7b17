# Every option changes something that can be seen, or is refused: walks the table that --help prints, and
# fails for a row that has no line below.
. tests/lib.sh
"$MOCK" --make-data 30 3 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 12 3 1000 >"$DIR/val.jsonl"
"$MOCK" --make-data 8 3 5000 >"$DIR/test.jsonl"
cat >"$DIR/json_val.jsonl" <<'END'
{"question": "item 1000: what is its label?", "answer": "nonesuch"}
END
start_mock --rule planted --seed 3 --record "$DIR/record"
FIRST=$MOCK_URL
start_mock --rule planted --seed 3 --record "$DIR/other"
OTHER=$MOCK_URL
start_mock --rule planted --seed 3 --latency 300
SLOW=$MOCK_URL
start_mock --rule planted --seed 3 --fault 502=1 --record "$DIR/faulty.record"
FAULTY=$MOCK_URL
start_mock --rule planted --seed 3 --fault no_parse=1
GARBLED=$MOCK_URL
start_mock --rule planted --seed 3 --fault no_parse=0.3 --record "$DIR/half.record"
HALF=$MOCK_URL
start_mock --rule tokens
TOKENS=$MOCK_URL
start_mock --rule planted --seed 3 --strict reasons
PICKY=$MOCK_URL
cat >"$DIR/copies.jsonl" <<'END'
{"match": "[[ ## cases ## ]]", "content": "[[ ## new_instruction ## ]]\nAnswer yes. If it is the first woman to fly alone across the ocean, say so.\n\n[[ ## completed ## ]]"}
{"match": "Answer yes.", "content": "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"}
{"match": "question", "content": "[[ ## answer ## ]]\nno\n\n[[ ## completed ## ]]"}
END
start_mock --rule script:"$DIR/copies.jsonl"
COPIES=$MOCK_URL
GONE=http://127.0.0.1:9/v1
PTY=$PWD/tests/pty_run.py
cd "$DIR" || exit 70
cat >job.json <<END
{"program": {"predict": "question -> answer"}, "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match",
 "optimizer": {"name": "bootstrap_few_shot", "max_labeled_demos": 6}, "lm": {"model": "hosted_vllm/any", "api_base": "$FIRST", "concurrency": 8}}
END
sed 's/"optimizer": {[^}]*}, //' job.json >bare.json
printf 'sk-from-a-file\n' >key && chmod 600 key
printf '{"program": {"steps": [{"name": "a", "predict": "question -> answer"}]}}' >steps.json
"$MOCK" --make-data 40 3 9000 >"$DIR/many.jsonl"
"$PROGRAM" compile job.json --out=first >/dev/null 2>&1
"$PROGRAM" compile job.json --optimizer=mipro_v2 --out=mi >/dev/null 2>&1
"$PROGRAM" compile job.json --out=labeled --optimizer=labeled_few_shot >/dev/null 2>&1

# What a command leaves behind, in files named $1.*: exit code, stdout and stderr, demonstrations, what was asked
see() {
	name=$1
	shift
	from=$(wc -l <record)
	rm -rf out.d
	case $1 in
	compile) timeout -k 5 60 "$PROGRAM" "$@" --out=out.d >"$name.out" 2>"$name.err" ;;
	*) timeout -k 5 60 "$PROGRAM" "$@" >"$name.out" 2>"$name.err" ;;
	esac
	echo $? >"$name.code"
	sed -E 's/"seconds": [0-9.]+/"seconds"/; s/[0-9.]+ s$//; /^(\/|out\.d)/d' "$name.out" >"$name.says"
	sed -E '/calls, .* tokens/d' "$name.err" >>"$name.says"
	[ -f out.d/program.json ] && sed '/"metadata"/,$d' out.d/program.json >"$name.demos" || : >"$name.demos"
	tail -n +$((from + 1)) record >"$name.record"
	grep -o '"body":.*' "$name.record" | sort >"$name.asks"
}
# changes WHAT BASE... -- OPTIONS: both exit with 0, and WHAT (says, demos, asks) differs
changes() {
	what=$1
	shift
	base=""
	while [ "$1" != -- ]; do base="$base $1" && shift; done
	shift
	# shellcheck disable=SC2086
	see base $base
	# shellcheck disable=SC2086
	see with $base "$@"
	[ "$(cat base.code with.code | tr '\n' ' ')" = "0 0 " ] && ! cmp -s base.$what with.$what
}
# exits CODE WORDS COMMAND...: with the words on stderr or stdout
exits() {
	code=$1 words=$2
	shift 2
	see with "$@"
	[ "$(cat with.code)" = "$code" ] && cat with.err with.out | grep -qF -- "$words"
}
# lasts MILLISECONDS COMMAND...: takes at least so long
lasts() {
	least=$1
	shift
	began=$(now_ms)
	see with "$@"
	[ $(($(now_ms) - began)) -ge "$least" ]
}
C="compile job.json" RS="compile job.json --optimizer=BootstrapRS --optimizer.num_candidate_programs=1" E="eval bare.json"
BOTH="ensemble first/program.json labeled/program.json"
MI="compile job.json --optimizer={\"name\":\"mipro_v2\"}" # without a blank: see cuts at blanks
EN="compile bare.json --optimizer={\"name\":\"ensemble\",\"of\":\"bootstrap_few_shot\",\"k\":2} --valset=many.jsonl"
MINE="compile job.json --optimizer={\"name\":\"mipro_v2\",\"auto\":null,\"num_candidates\":3,\"num_trials\":4,\"minibatch_size\":6}"
seq 0 14 | sed 's/.*/{"question": "q&", "answer": "yes"}/' >q.jsonl
seq 100 114 | sed 's/.*/{"question": "q&", "answer": "yes"}/' >qval.jsonl
cat >tokens.json <<END
{"program": {"steps": [{"name": "a", "predict": {"signature": "question -> hint", "instructions": "Answer."}}, {"name": "b", "predict": {"signature": "question, hint -> answer", "instructions": "Answer."}}]},
 "trainset": "q.jsonl", "valset": "qval.jsonl", "metric": "answer_exact_match", "optimizer": {"name": "gepa", "search": "gepa", "max_metric_calls": 400}, "lm": {"model": "hosted_vllm/any", "api_base": "$TOKENS"}}
END
TO="compile tokens.json" # a world in which merges come up
GE="compile job.json --optimizer={\"name\":\"gepa\",\"search\":\"gepa\",\"max_metric_calls\":120}"
for i in $(seq 20); do echo "{\"question\": \"q$i the first woman to fly alone across the ocean\", \"answer\": \"yes\"}"; done >copied.jsonl
COPIED="compile job.json --trainset=copied.jsonl --valset=qval.jsonl --lm.api_base=$COPIES --optimizer={\"name\":\"gepa\",\"max_metric_calls\":90}"
TWO='--program={"steps":[{"name":"a","chain_of_thought":"question->answer"},{"name":"b","predict":"question,reasoning->answer"}]}'
row() {
	case $1 in
	program) changes asks $E -- '--program={"chain_of_thought": "question -> answer"}' ;;
	student) changes asks $E -- --student=first/program.json ;;
	teacher) changes asks $C -- --teacher=first/program.json ;;
	adapter) changes asks $E -- --adapter=json ;;
	trainset) changes demos $C -- --trainset=val.jsonl ;;
	valset) changes asks $E -- --valset=test.jsonl ;;
	testset) changes asks $E -- --testset=test.jsonl ;;
	valset_size) exits 0 'valset    6 examples' check cut.json --valset_size=0.2 ;;
	testset_size) exits 0 'testset   5 examples' check cut.json --testset_size=5 ;;
	inputs) exits 64 'is not among them' check job.json '--inputs=["answer"]' ;;
	metric) changes says $E -- '--metric={"name": "regex", "field": "answer", "pattern": "r"}' ;;
	failure_score) exits 69 '"score": 0.0' $E --lm.api_base="$GARBLED" && exits 69 '"score": 0.5' $E --lm.api_base="$GARBLED" --$1=0.5 ;;
	max_errors) exits 65 'max_errors' $RS --lm.api_base="$GARBLED" --max_errors=3 ;;
	lm) changes asks $E -- "--lm={\"model\": \"hosted_vllm/other\", \"api_base\": \"$FIRST\"}" ;;
	'lm.*') return 0 ;; # each of its keys has a line below
	lms) changes asks $C -- "--lms={\"teacher\": {\"model\": \"hosted_vllm/other\", \"api_base\": \"$FIRST\"}}" ;;
	lms.task) changes asks $E -- --lms.task=hosted_vllm/other --lms.task.api_base="$FIRST" ;;
	lms.teacher) changes asks $C -- "--lms.teacher={\"model\": \"hosted_vllm/other\", \"api_base\": \"$FIRST\"}" ;;
	lms.prompt) exits 64 'asks no model of this role' $C --$1=hosted_vllm/other ;;
	lms.judge) exits 64 'asks no judge' $C --$1=hosted_vllm/other && judged_by "--$1={\"model\": \"hosted_vllm/other\", \"api_base\": \"$FIRST\"}" ;;
	'lms.task.*') changes asks $E -- --lms.task.model=hosted_vllm/other --lms.task.api_base="$FIRST" ;;
	'lms.teacher.*') changes asks $C -- --lms.teacher.model=hosted_vllm/other --lms.teacher.api_base="$FIRST" ;;
	'lms.prompt.*') exits 78 'asks no model of this role' $C --lms.prompt.model=hosted_vllm/other ;;
	'lms.judge.*') judged_by --lms.judge.model=hosted_vllm/other --lms.judge.api_base="$FIRST" ;;
	python)
		echo '{"program": {"python": "mymod:Program"}, "trainset": {"python": "mymod:rows"}, "metric": "answer_exact_match", "lm": "embedded/stand-in"}' >python.json
		exits 64 'there is no program /nowhere/python' check python.json --$1=/nowhere/python
		;;
	optimizer | optimizer.name) changes demos $C --optimizer=bootstrap_few_shot -- --$1=labeled_few_shot ;;
	optimizer.seed | seed) changes demos $C -- --$1=4 ;;
	optimizer.k) changes demos compile bare.json --optimizer=labeled_few_shot -- --optimizer.k=2 ;;
	optimizer.sample) changes demos compile bare.json --optimizer=labeled_few_shot -- --optimizer.sample=false ;;
	optimizer.max_bootstrapped_demos) changes demos $C -- --$1=2 ;;
	optimizer.max_labeled_demos) changes demos $C -- --$1=9 ;;
	optimizer.max_rounds) changes asks $C --optimizer.max_bootstrapped_demos=40 -- --$1=2 ;;
	optimizer.metric_threshold) changes demos $C -- --$1=2 ;;
	optimizer.max_errors) exits 65 'max_errors' $RS --lm.api_base="$GARBLED" --$1=3 ;;
	optimizer.num_candidate_programs) changes asks $RS -- --$1=2 ;;
	optimizer.stop_at_score) changes asks $RS -- --$1=1 ;;
	optimizer.race) changes says $RS -- --$1=true && exits 64 "true, false or" $RS --$1=fast ;;
	optimizer.race_alpha) changes says $RS --optimizer.race=true -- --$1=0.3 && exits 64 "only race = true reads it" $RS --$1=0.3 ;;
	optimizer.labeled_sample) changes asks $RS -- --$1=false ;;
	optimizer.restrict) changes asks $RS -- '--optimizer.restrict=[-3]' ;;
	# the ensemble's
	optimizer.of) changes demos $EN -- --$1=labeled_few_shot ;;
	optimizer.members) changes says $EN -- --$1=first/program.json ;;
	optimizer.from) changes says $EN -- --$1=labeled ;;
	optimizer.size) changes says $EN -- --$1=3 ;;
	optimizer.reduce) changes says $EN -- --$1=best_per_input ;;
	optimizer.field) exits 78 'no output' $EN --$1=nonesuch ;;
	optimizer.select) exits 64 'never gained' $EN --$1=all ;;
	optimizer.guard) changes says $EN -- --$1=false ;;
	# MIPROv2's
	optimizer.auto) changes asks $MI -- --$1=medium ;;
	optimizer.num_candidates | optimizer.num_trials) changes asks $MINE -- --$1=5 ;;
	optimizer.minibatch) changes asks $MINE -- --$1=false ;;
	optimizer.minibatch_size | optimizer.minibatch_full_eval_steps) changes asks $MINE --optimizer.search=mipro -- --$1=2 ;;
	optimizer.program_aware_proposer | optimizer.data_aware_proposer | optimizer.tip_aware_proposer | optimizer.fewshot_aware_proposer) changes asks $MI -- --$1=false ;;
	optimizer.view_data_batch_size) changes asks $MI -- --$1=3 ;;
	optimizer.init_temperature) changes asks $MI -- --$1=0.3 ;;
	optimizer.search) changes asks $MI -- --$1=mipro ;;
	optimizer.runs | optimizer.in_flight) changes asks $MI -- --$1=40 ;;
	optimizer.proposer) changes asks $MI -- --$1=reflective ;;
	optimizer.reflections) changes asks $MI --optimizer.proposer=reflective -- --$1=4 ;;
	optimizer.patience) changes asks $MI -- --$1=1 ;;
	optimizer.leak_guard) changes asks $MI --valset=train.jsonl -- --$1=false ;;
	optimizer.proposals) printf '{"self": ["Look twice."]}' >own.json && changes asks $MI -- --$1=own.json ;;
	# GEPA's
	optimizer.max_metric_calls | optimizer.reflection_minibatch_size) changes asks $GE -- --$1=30 ;;
	optimizer.max_full_evals) changes asks compile job.json '--optimizer={"name":"gepa"}' -- --$1=2 ;;
	optimizer.candidate_selection_strategy) changes asks $GE -- --$1=current_best ;;
	optimizer.perfect_score) changes asks $GE -- --$1=0 ;;
	optimizer.skip_perfect_score) changes asks $GE --optimizer.perfect_score=0 -- --$1=false ;;
	optimizer.add_format_failure_as_feedback) ! shows_unread && shows_unread --$1=true ;;
	optimizer.component_selector) changes asks $GE "$TWO" -- --$1=all ;;
	optimizer.use_merge) changes says $TO -- --$1=false ;;
	optimizer.max_merge_invocations) changes says $TO -- --$1=0 ;;
	optimizer.acceptance_criterion) changes asks $GE -- --$1=improvement_or_equal ;;
	optimizer.sampling_strategy) changes asks $GE -- --$1=independent && changes asks $GE -- --$1=same_parent && changes asks $GE -- --$1=p_x_n ;;
	optimizer.parents | optimizer.proposals) changes asks $GE --optimizer.sampling_strategy=p_x_n -- --$1=3 ;;
	optimizer.selection_strategy) changes says $TO --optimizer.sampling_strategy=independent -- --$1=best_improvement ;;
	optimizer.top_k) changes says $TO --optimizer.sampling_strategy=independent --optimizer.selection_strategy=top_k -- --$1=4 ;;
	optimizer.cache_evaluation) changes says $TO --valset=q.jsonl --optimizer.search=gepa -- --$1=true ;;
	optimizer.max_reflection_failures) exits 69 '3 iterations in a row' $GE "--lms.prompt={\"model\":\"hosted_vllm/any\",\"api_base\":\"$GARBLED\"}" --$1=3 ;;
	optimizer.leak) changes demos $COPIED -- --$1=reject ;;
	optimizer.max_chars) exits 69 "without a usable reflection" $COPIED --$1=20 ;;
	optimizer.length_weight) changes demos $COPIED -- --$1=9000 ;;
	optimizer.num_threads) exits 64 'with another value' check job.json --$1=3 && exits 0 '8 calls in flight' check job.json --$1=8 ;;
	out) "$PROGRAM" compile job.json --out=somewhere >/dev/null 2>&1 && [ -f somewhere/program.json ] ;;
	pick) changes says show mi -- --$1=1 ;;
	measure) exits 0 'measured on 3 examples' plan job.json --$1=3 && exits 64 'a number of examples' plan job.json --$1=0 ;;
	confirm-above) exits 64 'confirm-above' compile job.json --$1=soon ;;
	budget) exits 0 '"reason": "budget"' compile job.json '--budget={"calls": 5}' --out=b.json ;;
	budget.calls) exits 0 '"reason": "budget"' compile job.json --$1=5 ;;
	budget.tokens) exits 0 '"reason": "budget"' compile job.json --$1=9k --lm.max_tokens=50 && exits 78 'needs max_tokens' compile job.json --$1=3k ;;
	budget.cost) exits 0 '"reason": "budget"' compile job.json --$1=0.1 --lm.max_tokens=50 '--lm.price={"prompt": 10, "completion": 10}' && exits 78 'has no price' compile bare.json --optimizer=bootstrap_few_shot --lm=openai/unheard-of --$1=1 ;;
	budget.time) exits 0 '"reason": "budget"' compile job.json --lm.api_base="$SLOW" --lm.concurrency=1 --$1=0.5s ;;
	cache) see with eval bare.json --cache=kept && [ -s with.asks ] && see with eval bare.json --cache=kept && [ ! -s with.asks ] ;;
	offline) exits 69 'does not have' eval bare.json --cache=empty --$1 && exits 64 'needs a cache' eval bare.json --$1 ;;
	fresh) cp -r first again && "$PROGRAM" compile job.json --out=again --fresh >/dev/null 2>&1 && [ -f again.1/program.json ] ;;
	reuse)
		cp -r first kin && ! "$PROGRAM" compile job.json --optimizer.max_labeled_demos=5 --out=kin 2>with.err >with.out && grep -q 'or --reuse' with.err &&
			"$PROGRAM" compile job.json --optimizer.max_labeled_demos=5 --out=kin --reuse 2>with.err >with.out && grep -q 'are not requested again' with.err && [ -f kin.1/program.json ]
		;;
	force) mkdir forced && echo mine >forced/program.json && ! "$PROGRAM" compile job.json --out=forced >/dev/null 2>&1 && "$PROGRAM" compile job.json --out=forced --force >/dev/null 2>&1 && [ "$(cat forced/program.json.1)" = mine ] ;;
	resume) "$PROGRAM" compile job.json --out=first --resume 2>&1 >/dev/null | grep -q 'is finished' && exits 64 'not an option of this command' $E --resume ;;
	drain) exits 64 "" compile job.json --out=again --drain=soon || exits 65 "" compile job.json --out=again --drain=soon ;; # stop.sh drains
	fsync) exits 64 'is each, 1s or none' compile job.json --out=again --fsync=often && exits 0 done compile job.json --out=synced --fsync=each ;;
	accept-model-change) [ -x "$PROGRAM" ] && exits 0 done compile job.json --out=accepted --accept-model-change ;; # lock.sh changes the model
	deadline) exits 75 '"reason": "deadline"' eval bare.json --lm.api_base="$SLOW" --lm.concurrency=1 --deadline=0.5s ;;
	split) changes asks $E -- --split=trainset ;;
	waves) changes asks eval bare.json --program=votes.json -- --waves=1 && exits 64 'is 1 or 2' eval bare.json --program=votes.json --waves=3 ;;
	reduce) changes says $BOTH -- --reduce=unanimous && exits 64 'never gained' $BOTH --reduce=log_odds ;;
	field) exits 0 '"field": "answer"' $BOTH --field=answer && exits 65 'has no output "x"' $BOTH --field=x ;;
	size) changes says $BOTH -- --size=1 && exits 65 'size 3 of 2 members' $BOTH --size=3 ;;
	size_draw) changes says $BOTH --size=1 -- --size_draw=dspy ;;
	job) exits 65 '--job' show theirs.json && exits 0 '' show theirs.json --job=job.json ;;
	input) changes says show first/program.json --messages --input=question=a -- --input=question=b ;;
	input-json) changes says show first/program.json --messages -- '--input-json={"question": "b"}' ;;
	with-inputs) see with run first/program.json --job=job.json --inputs-file val.jsonl --with-inputs && grep -q '^{"question": ".*, "answer": ' with.out ;;
	inputs-file) see with run first/program.json --job=job.json --inputs-file val.jsonl && [ "$(wc -l <with.out)" = 12 ] ;;
	live) changes asks check job.json -- --live ;;
	messages) changes says show first/program.json --input=question=a -- --messages ;;
	verbose) changes says eval bare.json --metric="$TALKING" -- --verbose ;;
	lm.model) changes asks $E -- --$1=hosted_vllm/other ;;
	lm.api_base) before=$(wc -l <other) && see with $E --$1="$OTHER" && [ ! -s with.asks ] && [ "$(wc -l <other)" = $((before + 12)) ] ;;
	lm.api_key_env) MY_KEY=sk-mine && export MY_KEY && see with $E --$1=MY_KEY && grep -q '"Authorization": "Bearer sk-mine"' with.record ;;
	lm.api_key_file) see with $E --$1="$DIR/key" && grep -q '"Authorization": "Bearer sk-from-a-file"' with.record ;;
	lm.concurrency) exits 0 '3 calls in flight' check job.json --$1=3 ;;
	lm.rpm) lasts 1500 $E --$1=240 ;;
	lm.tpm) lasts 1500 $E --$1=60000 ;;
	lm.timeout) exits 69 'Timeout' $E --lm.api_base="$SLOW" --$1=0.1 --lm.outage=0.5 --lm.num_retries=0 ;;
	lm.num_retries) had=$(tries) && see with $E --lm.api_base="$FAULTY" --$1=0 && [ "$(tries)" = $((had + 1)) ] && see with $E --lm.api_base="$FAULTY" --$1=2 && [ "$(tries)" = $((had + 4)) ] ;;
	lm.wait) lasts 1200 $E --lm.api_base=$GONE --lm.outage=0.1 --$1=1.2 ;;
	lm.outage) exits 69 'has not answered' $E --lm.api_base="$FAULTY" --$1=0.5 ;;
	lm.price) exits 0 '"cost": 0.0,' $E && exits 0 '"cost": 2.' $E '--lm.price={"prompt": 1000, "completion": 1000}' ;;
	lm.ca_file) exits 64 'cannot be read' $E --$1=nowhere.pem ;;
	lm.cert_file | lm.key_file) exits 64 'cannot be read' $E --$1=nowhere.pem ;;
	lm.proxy) before=$(wc -l <other) && see with $E --$1="http://$(host_of "$OTHER")" && [ ! -s with.asks ] && [ "$(wc -l <other)" -gt "$before" ] ;;
	lm.cache)
		for i in 1 2; do sed "s/^{/{\"id\": \"$i-$(wc -l <record)\", /" val.jsonl; done >twice.jsonl
		had=$(wc -l <record) && see with eval bare.json --valset=twice.jsonl && [ "$(wc -l <record)" = $((had + 12)) ] &&
			see with eval bare.json --valset=twice.jsonl --$1=false && [ "$(wc -l <record)" = $((had + 36)) ]
		;;
	lm.cache_tag) "$PROGRAM" compile job.json --out=first --$1=x 2>&1 | grep -q 'another job' ;;
	lm.prices)
		printf '{"prices": {"openai/any": {"prompt": 1000, "completion": 1000}}}' >prices.json
		exits 0 '"cost": 2.' $E --lm.model=openai/any --$1="$DIR/prices.json" &&
			mkdir -p beside && sed 's#"lm": {#&"prices": "../prices.json", #' bare.json >beside/job.json && cp train.jsonl val.jsonl beside/ &&
			exits 0 '"cost": 2.' eval beside/job.json --lm.model=openai/any
		;;
	lm.headers) see with $E '--lm.headers={"Authorization": "a-team-of-ours"}' && grep -q 'a-team-of-ours' with.record ;;
	lm.headers_env) OUR_TEAM=a-team-of-the-env && export OUR_TEAM && see with $E '--lm.headers_env={"Authorization": "OUR_TEAM"}' && grep -q 'a-team-of-the-env' with.record ;;
	lm.query) see with $E '--lm.query={"tenant": "a-tenant-of-ours"}' && grep -q 'tenant=a-tenant-of-ours' with.record ;;
	lm.api_version) see with $E --$1=2024-10-21 && grep -q 'api-version=2024-10-21' with.record ;;
	lm.drop_params) exits 0 'temperature is dropped' $E --lm.api_base="$PICKY" --lm.temperature=0 --$1=true && exits 78 'lm.temperature' $E --lm.api_base="$PICKY" --lm.temperature=0 ;;
	lm.extra_body) changes asks $E -- '--lm.extra_body={"guided_choice": ["red"]}' ;;
	lm.stop) changes asks $E -- '--lm.stop=["\n\n"]' ;;
	lm.user | lm.reasoning_effort | lm.service_tier | lm.verbosity) changes asks $E -- --$1=low ;;
	lm.logit_bias) changes asks $E -- '--lm.logit_bias={"5": 1}' ;;
	lm.stop_token_ids) changes asks $E -- '--lm.stop_token_ids=[7]' ;;
	lm.ignore_eos | lm.skip_special_tokens | lm.include_stop_str_in_output) changes asks $E -- --$1=true ;;
	lm.max_tokens | lm.max_completion_tokens) changes asks $E -- --$1=50 ;;
	lm.temperature | lm.top_p | lm.seed | lm.frequency_penalty | lm.presence_penalty | lm.top_k | lm.min_p | lm.repetition_penalty | lm.length_penalty | lm.min_tokens)
		changes asks $E -- --$1=1 ;;
	json) # on a terminal
		python3 "$PTY" 80 raw "$PROGRAM" plan job.json && ! grep -q '"status"' raw &&
			python3 "$PTY" 80 raw "$PROGRAM" plan job.json --json && grep -q '"status"' raw
		;;
	events) exits 0 done compile job.json --out=events --events=happened && grep -q '"event": "end"' happened && exits 73 'cannot be opened' compile job.json --out=events2 --events=no/where ;;
	watch) exits 0 'state ' status labeled --watch ;; # report.sh watches
	prometheus) exits 0 done compile job.json --out=metered --prometheus=run.prom && grep -q '^dspy_mpi_running{.*} 0$' run.prom && exits 73 'not overwritten' compile job.json --out=metered2 --prometheus=key ;;
	format) changes says export first -- --format=text ;;
	step) changes says export tokens.json -- --step=a && exits 64 'no step "b"' export steps.json --step=b ;;
	*)
		echo "no line for $1 in tests/cluster/options.sh" >with.err
		return 1
		;;
	esac
}
# The judge is asked, by the model that is named; what it says here is no judgement.
judged_by() { exits 69 'the judge gave no score' $E "$JUDGED" "$@" && grep -q '"model": *"other"' with.record; }
# Whether a reflection sees an answer that could not be read, of a server with some that cannot.
shows_unread() { see with $GE --lm.api_base="$HALF" "$@" && grep -q 'new_instruction.*could not be read' half.record; }
tries() { get_from "$FAULTY" /stats | "$MOCK" --json-get requests; }
get_from() { "$MOCK" --fetch "$(host_of "$1")" "$2"; }
cat >talk <<'END'
#!/bin/sh
while read -r line; do echo "it says a word"; echo '{"score": 1}'; done
END
chmod +x talk
JUDGED='--metric={"judge":"question,predicted_answer->score:float","score":"score"}'
TALKING='{"command":["./talk"]}'
sed 's/"valset": "val.jsonl", //' job.json >cut.json
sed '/"dspy_mpi"/,/^    }/d; s/"dependency_versions": {},/"dependency_versions": {}/' first/program.json >theirs.json
"$PROGRAM" ensemble first/program.json first/program.json labeled/program.json >votes.json 2>/dev/null
for c in compile eval run show export check plan ensemble status diff; do "$PROGRAM" $c --help; done >help
rows=$(grep -o '^  --[^ =]*' help | cut -c5- | sort -u)
keys=$("$PROGRAM" compile --help | sed '1,/^Keys of a model:/d' | tr -s ' \n' '  ')
for k in $keys; do rows="$rows lm.$k"; done
# shellcheck disable=SC2086
plan "$(echo $rows | wc -w)"
set -f
for r in $rows; do
	if row "$r"; then ok "$r"; else not_ok "$r" with.says with.err base.says; fi
done
