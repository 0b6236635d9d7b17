# scripts/real-run, which measures MIPROv2 on a real model, here against the mock server.
. tests/lib.sh
plan 3
start_mock --rule planted --seed 8
"$MOCK" --make-data 100 8 0 >"$DIR/train.jsonl"
"$MOCK" --make-data 100 8 1000 >"$DIR/test.jsonl"
check "it runs" run 0 scripts/real-run "$DIR/train.jsonl" "$DIR/test.jsonl" "$MOCK_URL" hosted_vllm/any "$DIR/real"
check "both searches" [ "$(grep -c '^== ' "$DIR/out")" = 2 -a "$(grep -c '"testset"' "$DIR/out")" = 2 ]
check "says how it is used" run 64 scripts/real-run
