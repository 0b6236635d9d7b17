# What was answered once is not asked again: equal requests of a run go out once; --reuse takes what another
# job in OUT paid for; a cache is shared by runs of any jobs. A cache may be torn, and never breaks a run.
LEAKS=0
. tests/lib.sh
plan 34
start_mock --rule planted --seed 4 --latency 20
"$MOCK" --make-data 40 4 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 30 4 1000 >"$DIR/val.jsonl"
cd "$DIR" || exit 70
cat >job.json <<EOF
{"program": {"steps": [{"name": "think", "chain_of_thought": "question -> answer"},
                       {"name": "say", "predict": "question, reasoning -> answer"}]},
 "trainset": "train.jsonl", "valset": "val.jsonl", "metric": "answer_exact_match", "cache": "kept",
 "optimizer": {"name": "bootstrap_few_shot_with_random_search", "num_candidate_programs": 3, "max_rounds": 2},
 "lm": {"model": "hosted_vllm/any", "api_base": "$MOCK_URL", "concurrency": 16, "api_key_env": "CACHE_TEST_KEY"}}
EOF
export CACHE_TEST_KEY=sk-not-to-be-kept-anywhere
calls() { stat_of requests; }
same() { cmp -s "$1/program.json" "$2/program.json"; }

sed 's/"cache": "kept",//' job.json >bare.json
check "without a cache" run 0 "$PROGRAM" compile bare.json --out=bare
before=$(calls)
check "each request once ($before)" [ "$before" = "$(stat_of distinct)" -a "$before" = "$(json calls out)" ]
post /reset >/dev/null
run 0 mpirun --oversubscribe -n 4 "$PROGRAM" compile bare.json --out=bare4
check "on 4 ranks as well, and the same ones" [ "$(calls)" = "$before" -a "$(stat_of distinct)" = "$before" ]
check "to the same program" same bare bare4

# Another job in an OUT that has answers.
more="--optimizer.num_candidate_programs=4"
check "another optimizer's OUT is refused" run 73 "$PROGRAM" compile bare.json $more --out=bare4
check "and --reuse is named" said "--reuse to take its answers"
check "with it, under a cap" run 0 "$PROGRAM" compile bare.json $more --out=bare4 --reuse --budget.calls=30
check "which is for what is new" [ "$(json reason out)" = budget -a "$(json calls out)" -gt 20 -a "$(json calls out)" -le 30 ]
check "and then without, by the same command or a plain one" run 0 "$PROGRAM" compile bare.json $more --out=bare4
check "nothing of both was asked again" [ "$(stat_of repeats)" = 0 -a "$(calls)" -gt "$before" ]
run 0 "$PROGRAM" compile bare.json $more --out=anew
check "the program is that of a run of its own" same bare4 anew
before=$(calls)
check "for another metric: answers are no scores" run 0 "$PROGRAM" compile bare.json $more --metric='{"name": "exact_match", "field": "answer"}' --out=bare4 --reuse
check "which asks for no more than that ($(json calls out) calls)" [ "$(json calls out)" -le 20 ]
check "again: it is finished" run 0 "$PROGRAM" compile bare.json $more --metric='{"name": "exact_match", "field": "answer"}' --out=bare4 --reuse
check "and the OUTs before are whole" [ -s bare4.1/program.json -a -s bare4.2/program.json ]
before=$(calls)
check "with one" run 0 "$PROGRAM" compile job.json --out=first
check "the program is the same" same bare first
asked=$(($(calls) - before))
check "equal requests of one run went out once ($asked calls, $before without)" [ "$asked" -le "$before" ]
before=$(calls)
check "again, from the cache" run 0 "$PROGRAM" compile job.json --out=second
check "no call" [ "$(calls)" = "$before" ]
check "which the last line says" [ "$(json calls out)" = 0 ]
check "the same program" same first second
check "the same on 3 ranks" run 0 mpirun --oversubscribe -n 3 "$PROGRAM" compile job.json --out=ranks
check "no call there" [ "$(calls)" = "$before" ]
check "the same program there" same first ranks
check "another model's answers are other answers" run 69 "$PROGRAM" eval job.json --lm.model=hosted_vllm/other --offline
check "--offline says what it lacks" said "the cache does not have an answer"
grep -rq sk-not-to-be-kept kept first && not_ok "the key is not in it" || ok "the key is not in it"

# 30 rows of one question at once: one call. Another question before them, as a model's first call is alone.
head -1 val.jsonl >row && { tail -1 val.jsonl; for i in $(seq 30); do sed "s/^{/{\"id\": \"r$i\", /" row; done; } >equal.jsonl
before=$(calls)
run 0 mpirun --oversubscribe -n 4 "$PROGRAM" eval job.json --valset=equal.jsonl --cache=fresh --program='{"predict": "question -> answer"}' --split=valset
check "one call for 30 equal requests, and one for another ($(($(calls) - before)))" [ $(($(calls) - before)) = 2 ]

stop_mock
check "--offline with all there needs no server" run 0 "$PROGRAM" compile job.json --out=offline --offline
check "and gives the same program" same first offline
start_mock --rule planted --seed 4
sed -i "s|http://127.0.0.1:[0-9]*/v1|$MOCK_URL|" job.json

# torn and damaged files are passed over
f=$(ls kept/*.answers | head -1)
size=$(wc -c <"$f")
head -c $((size / 2)) "$f" >half && cp half "$f"
printf 'damage' | dd of="$f" bs=1 seek=100 conv=notrunc 2>/dev/null
check "a damaged cache costs calls, not the run" run 0 "$PROGRAM" compile job.json --out=torn
check "and the program is the same" same first torn
run 0 "$PROGRAM" cache stats kept
answers=$(json answers out)
run 0 "$PROGRAM" cache prune kept --max-bytes 1
run 0 "$PROGRAM" cache stats kept
check "stats and prune ($answers answers, then $(json answers out))" [ "$answers" -gt 50 -a "$(json answers out)" = 0 ]
