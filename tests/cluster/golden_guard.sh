# The golden tests compare for real: one expected value changed in any golden file makes them fail, and so
# does a file that is not there.
. tests/lib.sh
GOLDEN=tests/golden/data
UNIT=$(dirname "$PROGRAM")/tests/unit-tests
# file, a text in it, how many lines behind its first one the value stands
values="prompts All_interactions 0
prompts \"effective_instructions\" 0
prompts \"description\" 0
prompts \"prefix\" 0
prompts JSON_object_in_the_following 0
parse a\":_5 0
parse AdapterParseError 0
metrics \"normalize\" 3
metrics \"f1\" 4
metrics \"hotpot\" 4
metrics \"em\" 4
rng \"getrandbits32\" 2
rng \"random\" 2
rng \"sample\" 6
rng \"shuffle\" 5
rng \"randint_1_4\" 1
rng \"randint_0_1e9\" 2
rng \"choices_seed3_w127\" 1
rng \"choice6_seed9\" 1
rng \"mipro_light_130\" 2
rng \"valset_len\" 0
rng \"optuna_startup 2
rng \"optuna_tpe\" 25
json_repair \"unterminated\" 0
json_repair 5_apples 1
optimizers \"labeled_k4\" 2
optimizers \"labeled_k3_nosample\" 2
optimizers \"labeled_two_predictors_k3\" 7
optimizers \"bootstrap_b4_l16\" 2
optimizers \"bootstrap_b4_l4\" 2
optimizers \"bootstrap_b3_l3\" 2
optimizers \"bootstrap_b8_l4\" 2
optimizers \"bootstrap_two_predictors_b3_l5\" 2
optimizers \"random_search_b4_l8_n5\" 3
optimizers \"score\" 0"
plan $(($(echo "$values" | wc -l) + 1))
missing() { # all golden tests, with no file there: as many fail as there are
	DM_GOLDEN="$DIR/nowhere" "$UNIT" -j2 --filter 'golden_*/*' >"$DIR/out" 2>"$DIR/err"
	tested=$(sed -n 's/.*Tested: [^0-9]*\([0-9]*\).*/\1/p' "$DIR/err")
	failing=$(sed -n 's/.*Failing: [^0-9]*\([0-9]*\).*/\1/p' "$DIR/err")
	[ "${tested:-0}" -ge 21 ] && [ "$failing" = "$tested" ]
}
check "without their files all golden tests fail" missing
echo "$values" | while read -r file text behind; do
	case $text in \"*) ;; *) text=$(echo "$text" | tr _ ' ') ;; esac
	name="$file.json, $text + $behind"
	case $file in prompts | parse) suite=golden_adapter ;; json_repair) suite=golden_json ;; rng) suite='golden_[rt]*' ;; *) suite=golden_$file ;; esac
	rm -rf "$DIR/golden" && cp -r $GOLDEN "$DIR/golden" && chmod -R u+w "$DIR/golden"
	awk -v text="$text" -v behind="$behind" '
		!found && index($0, text) { found = NR }
		found && NR == found + behind {
			value = $0; sub(/^ *("[a-z0-9_]*": )?/, "", value)
			head = substr($0, 1, length($0) - length(value))
			if (value ~ /^(true|false)/) value = (value ~ /^true/ ? "false" : "true") substr(value, value ~ /^true/ ? 5 : 6)
			else if (value ~ /^"/) sub(/"(,?)$/, "x&", value)
			else if (match(value, /[0-9]/)) value = substr(value, 1, RSTART - 1) (substr(value, RSTART, 1) + 1) % 10 substr(value, RSTART + 1)
			$0 = head value
		}
		{ print }' $GOLDEN/"$file.json" >"$DIR/golden/$file.json"
	if cmp -s $GOLDEN/"$file.json" "$DIR/golden/$file.json"; then
		not_ok "$name could not be changed"
	elif DM_GOLDEN="$DIR/golden" "$UNIT" --filter "$suite/*" >"$DIR/out" 2>"$DIR/err"; then
		not_ok "$name: changed, and nobody sees it"
	else
		ok "$name: seen"
	fi
done
