# What the README and the other pages say is so: their commands are run, what they print is compared; the table of
# DSPy's parameters has every one that --help has.
LEAKS=0
. tests/lib.sh
if ! command -v python3 >/dev/null; then
	plan 1
	skip "needs python3"
	exit 0
fi
scripts/readme-check >"$DIR/tap" 2>&1
sed -n 1p "$DIR/tap" | awk -F '\\.\\.' '{ print "1.." $2 + 1 }'
sed 1d "$DIR/tap"
n=$(grep -cE '^(not )?ok ' "$DIR/tap")
missing=""
for option in $("$PROGRAM" compile --help | grep -o '^  --optimizer\.[a-z_]*' | sed 's/^  --optimizer\.//' | grep -vx name); do
	grep -qF "\`$option\`" jobs/README.md || missing="$missing $option"
done
check "jobs/README.md names every parameter of an optimizer${missing:+, but not$missing}" [ -z "$missing" ]
