# Answers kept across runs: what was answered once is asked of no model again, by whichever job, on however
# many ranks; equal requests of one run go out once; a cache may be torn, and never breaks a run.
LEAKS=0
. tests/lib.sh
plan 20
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
check "--offline says what it lacks" said "the cache does not know an answer"
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
