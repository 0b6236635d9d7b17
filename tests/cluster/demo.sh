# What `make demo` shows is what it says: equal sums, and no journaled call asked for again after a kill.
LEAKS=0 # what Open MPI leaves at its end is not ours
. tests/lib.sh
plan 8
check "the demo runs to its end" run 0 scripts/demo </dev/null
check "one process and 4 ranks write the same program" [ "$(grep -c '  build/demo[14]/program.json$' "$DIR/out")" = 2 -a "$(sed -n 's|  build/demo[14]/program.json||p' "$DIR/out" | sort -u | wc -l)" = 1 ]
check "killed half-way: $(grep '^killed' "$DIR/out")" grep -q '^the server answered [0-9]* calls in all: 0 calls repeated$' "$DIR/out"
check "the table, with its warning" grep -q '(stand-in, not a language model)' "$DIR/out"
# With a server of one's own: one compile, and as many calls as were announced, counted there.
start_mock --rule stand-in
check "the demo on a server" run 0 env LM=hosted_vllm/any API_BASE="$MOCK_URL" scripts/demo </dev/null
announced=$(sed -n 's/^This calls .*: \([0-9]*\) calls (at most [0-9]*, .*/\1/p' "$DIR/out")
made=$(stat_of requests)
check "$announced calls announced, $made made" [ -n "$announced" -a "$announced" = "$made" ]
check "it says so too, and the scores" sh -c "grep -qx '$made calls made' '$DIR/out' && [ \$(grep -c '^testset ' '$DIR/err') = 2 ] && grep -q '^valset ' '$DIR/err'"
# On a terminal it asks first, and shows how far it is.
printf 'n\n' >"$DIR/no"
check "on a terminal no is no" sh -c "LM=hosted_vllm/any API_BASE='$MOCK_URL' timeout 60 script -qec scripts/demo /dev/null <'$DIR/no' >'$DIR/out' 2>&1; grep -q 'Go on?' '$DIR/out' && ! grep -q '== Compile' '$DIR/out'"
