# The golden tests compare for real: one expected value changed in any golden file makes them fail.
. tests/lib.sh
GOLDEN=../shared/dspy-golden
UNIT=$(dirname "$PROGRAM")/tests/unit-tests
plan 6
for file in prompts parse metrics rng json_repair optimizers; do
	if [ ! -d $GOLDEN ]; then
		skip "$GOLDEN is not here"
		continue
	fi
	rm -rf "$DIR/golden" && cp -r $GOLDEN "$DIR/golden" && chmod -R u+w "$DIR/golden"
	case $file in
	prompts) change='0,/All interactions will/s//All interaction will/' ;;
	parse) change='0,/"a": 5/s//"a": 6/' ;;
	metrics) change='0,/0.5/s//0.25/' ;;
	rng) change='0,/3626764237/s//3626764238/' ;;
	json_repair) change='0,/"unterminated"/s//"Unterminated"/' ;;
	optimizers) change='0,/"q12"/s//"q11"/' ;;
	esac
	sed -i "$change" "$DIR/golden/$file.json"
	if cmp -s $GOLDEN/$file.json "$DIR/golden/$file.json"; then
		not_ok "$file.json could not be changed"
	elif DM_GOLDEN="$DIR/golden" "$UNIT" --filter 'golden_*/*' >"$DIR/out" 2>"$DIR/err"; then
		not_ok "a changed value in $file.json goes unseen"
	else
		ok "a changed value in $file.json is seen"
	fi
done
