# What the program says of itself, all from the tables: help on topics, the manual, completions, the schema of job
# files; and what `make install` leaves, with the library built against from outside.
. tests/lib.sh
ROOT=$PWD
plan 39
cd "$DIR" || exit 70
has() { grep -qF -- "$1" out || { echo "no \"$1\"" >err && return 1; }; }

# topics
check "help" run 0 "$PROGRAM" help
for topic in optimizers metrics models budget failures exit-codes files; do has "help $topic" || missing="$missing $topic"; done
check "lists its topics${missing:+, but$missing}" [ -z "$missing" ]
for topic in optimizers metrics models budget failures exit-codes files; do
	run 0 "$PROGRAM" help $topic && [ "$(wc -l <out)" -gt 5 ] && ! grep -q '(null)\|()' out || bad="$bad $topic"
done
check "each says something${bad:+, but$bad}" [ -z "$bad" ]
run 64 "$PROGRAM" help optimisers
check "a topic with a slip" grep -qF 'there is no help on "optimisers"; did you mean optimizers?' err
run 64 "$PROGRAM" help compil
check "a command with a slip" grep -qF 'did you mean compile?' err
run 64 "$PROGRAM" help something-else
check "a topic that is none" grep -qF 'there is on each command and on optimizers, metrics' err
check "a shell that is none" run 64 "$PROGRAM" help --completion=csh
run 0 "$PROGRAM" compile --help
check "a parameter that two optimizers mean otherwise says both" has 'gepa: how many'

# each key that a command or a model takes is in the manual, with a sentence and a default
check "help --man" run 0 "$PROGRAM" help --man
sed 's/\\-/-/g; s/\\&//g' out >manual
for c in compile eval run show export check plan ensemble stop advise init report diff status; do "$PROGRAM" $c --help; done >all
for flag in $(grep -o '^  --[^ =]*' all | sort -u); do grep -qF -- ".B $flag" manual || lost="$lost $flag"; done
check "has every option${lost:+, but$lost}" [ -z "$lost" ]
keys=$("$PROGRAM" compile --help | sed '1,/^Keys of a model:/d')
for key in $keys; do grep -A1 "^\.B $key=" manual | grep -q '(.*)$' || bare="$bare $key"; done
check "every key of a model with its default${bare:+, but$bare}" [ -z "$bare" ]
for topic in optimizers metrics models budget failures exit-codes files; do "$PROGRAM" help $topic; done >all
for term in $(grep -o '^  *[a-z_]*=' all | sort -u); do grep -qF -- ".B $term" manual || [ "$(grep -c "^\.B  *$term" manual)" -gt 0 ] || off="$off $term"; done
check "and every key of the topics${off:+, but$off}" [ -z "$off" ]
if command -v man >/dev/null && man --version >/dev/null 2>&1; then
	MANWIDTH=100 man --warnings -l manual >page 2>warnings
	check "man shows it without a warning" sh -c '[ ! -s warnings ] && grep -q "^EXIT-CODES" page'
else
	skip "no man: apt-get install man-db"
fi

# the schema
check "help --schema" run 0 "$PROGRAM" help --schema
check "jobs/job.schema.json is what \`make schema\` writes" cmp out "$ROOT/jobs/job.schema.json"
cat >train.jsonl <<'END2'
{"question": "a", "answer": "b"}
{"question": "c", "answer": "d"}
END2
cat >job.json <<'END2'
{"$schema": "https://nowhere.example/job.schema.json", "program": {"predict": "question -> answer"}, "trainset": "train.jsonl",
 "metric": "exact_match", "optimizer": {"name": "gepa", "auto": null, "proposals": 3}, "lm": {"model": "embedded", "temperature": 0},
 "budget": {"calls": "5k"}}
END2
check "\$schema is allowed in a job" run 0 "$PROGRAM" check job.json
check "a number of proposals is no path" run 0 "$PROGRAM" check job.json --optimizer.proposals=4
for slip in '"optimizer"/"optimiser"' '"proposals"/"propossals"' '"temperature"/"temprature"' '"calls"/"call"' '"gepa"/"gepo"' '"exact_match"/"exact"' ': 3}/: "3"}' '"temperature": 0/"temperature": 11' ; do
	sed "s/$slip/" job.json >"slip$((slips += 1)).json"
	run 78 "$PROGRAM" check "slip$slips.json" || accepted="$accepted $slip"
done
check "a slip in a job is refused by the program${accepted:+, but$accepted}" [ -z "$accepted" ]
for python in "$SCHEMA_PYTHON" "$ROOT/build-hf/bin/python" python3 ''; do
	[ -n "$python" ] && "$python" -c 'import jsonschema' 2>/dev/null && break
done
if [ -n "$python" ]; then
	cat >valid.py <<'END2'
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    print(path, "refused" if list(validator.iter_errors(json.load(open(path)))) else "accepted")
END2
	run 0 "$python" valid.py "$ROOT/jobs/job.schema.json" job.json $(ls "$ROOT"/jobs/*.json | grep -v 'prices.json\|schema.json')
	check "the schema accepts the jobs here" sh -c '[ "$(grep -c accepted out)" -ge 5 ] && ! grep refused out'
	run 0 "$python" valid.py "$ROOT/jobs/job.schema.json" slip*.json
	check "and refuses each slip" sh -c '[ "$(grep -c refused out)" = 8 ]'
else
	skip "no Python with jsonschema: pip install jsonschema"
	skip "no Python with jsonschema: pip install jsonschema"
fi

# what is installed
check "make install" run 0 make -C "$ROOT" B="$(dirname "$PROGRAM")" PREFIX="$DIR/inst" install
for f in bin/dspy-mpi lib/libdspympi.so.0 lib/libdspympi.a lib/pkgconfig/dspy-mpi.pc include/dspy_mpi/search.h share/man/man1/dspy-mpi.1 \
	share/bash-completion/completions/dspy-mpi share/zsh/site-functions/_dspy-mpi share/fish/vendor_completions.d/dspy-mpi.fish \
	share/dspy-mpi/prices.json share/dspy-mpi/metric-host share/dspy-mpi/jobs/job.schema.json share/dspy-mpi/jobs/sample/train.jsonl; do
	[ -s "inst/$f" ] || gone="$gone $f"
done
check "has all of it${gone:+, but$gone}" [ -z "$gone" ]
PKG_CONFIG_PATH=$DIR/inst/lib/pkgconfig
export PKG_CONFIG_PATH
cp "$ROOT/tests/search_example.c" . # nothing of the tree but this is seen
check "pkg-config knows the version" sh -c 'pkg-config --modversion dspy-mpi | grep -qx "$('"$PROGRAM"' --version | cut -d" " -f2)"'
check "the example, built with pkg-config" run 0 sh -c '${CC:-cc} search_example.c $(pkg-config --cflags --libs dspy-mpi) -lm -o shared'
check "runs" run 0 env LD_LIBRARY_PATH="$DIR/inst/lib" ./shared
mv out one
check "the same, linked statically" run 0 sh -c '${CC:-cc} search_example.c $(pkg-config --cflags dspy-mpi) inst/lib/libdspympi.a -lm -o static'
run 0 ./static
check "says the same" cmp one out
cat >version.c <<'END2'
#include <dspy_mpi/version.h>
#include <string.h>
int main(void) { return strcmp(dspy_mpi_version(), DSPY_MPI_VERSION); }
END2
check "version macro and function agree" run 0 sh -c '${CC:-cc} version.c $(pkg-config --cflags --libs dspy-mpi) -o version && LD_LIBRARY_PATH=inst/lib ./version'
nm -D --defined-only inst/lib/libdspympi.so.0 | awk '{ print $3 }' | grep -v '^_' | sort >seen
nm -g --defined-only inst/lib/libdspympi.a | awk 'NF == 3 { print $3 }' | sort >seen.a
sed "s,/\*.*\*/,," "$ROOT"/include/dspy_mpi/*.h | grep -o "[a-z_]*(" | tr -d "(" | sort -u >public
check "seen from outside is what the headers declare, and no more" sh -c 'comm -23 seen public | sed "s/^/seen too: /" >err; [ ! -s err ] && [ "$(wc -l <seen)" -gt 20 ] && cmp seen seen.a'

# make says what is missing in one sentence, and who makes the package of Debian may have any name
mkdir few
for tool in sh make sed git tar gzip rm mkdir cp cat cut env dirname head uname timeout; do ln -s "$(command -v $tool)" few/; done
lacks() { # lacks WORDS MAKE-ARGUMENT...
	words=$1
	shift
	PATH="$DIR/few" run 2 "$DIR/few/make" -C "$ROOT" B="$DIR/b" "$@" && [ "$(grep -c "there is no" err)" = 1 ] && grep -qF "$words" err
}
check "make without mpicc" lacks "there is no mpicc-of-none: scripts/install-deps" MPICC=mpicc-of-none "$DIR/b/src/cluster/post_mpi.o"
check "make deb, make wheel without their tools" eval 'lacks "there is no dpkg-buildpackage: apt-get install" deb && lacks "there is no python3: " wheel'
check "make MPI=loadde" eval 'run 2 make -C "$ROOT" B="$DIR/b" MPI=loadde mock && grep -qF "MPI=loadde: it is linked or loaded" err'
for tool in dpkg-buildpackage dh; do printf '#!/bin/sh\nexit 0\n' >few/$tool && chmod +x few/$tool; done
if git -C "$ROOT" rev-parse -q --verify HEAD >/dev/null 2>&1; then
	maintained() { PATH="$DIR/few" DEBFULLNAME="$1" DEBEMAIL=a@b.example run 0 "$DIR/few/make" -C "$ROOT" B="$DIR/b" deb && grep -qxF "Maintainer: $1 <a@b.example>" b/deb/dspy-mpi-*/debian/control && grep -qF -- " -- $1 <a@b.example>  " b/deb/dspy-mpi-*/debian/changelog; }
	check "make deb, by people of all names" eval 'maintained "Seán O'"'"'Neill-Núñez" && maintained "R&D / Packages \\o/"'
else
	skip "no clone: make deb packs what is committed"
fi

# One version everywhere; and each place that would say another is seen.
check "one version everywhere" run 0 env B="$(cd "$(dirname "$PROGRAM")" && pwd)" "$ROOT/scripts/check-version"
places="scripts/python/pyproject.toml scripts/packaging/conda/recipe.yaml scripts/packaging/conda/wheel/recipe.yaml scripts/packaging/spack/package.py scripts/packaging/debian/changelog include/dspy_mpi/version.h"
version=$("$PROGRAM" --version | cut -d" " -f2)
for place in $places; do
	rm -rf tree
	(cd "$ROOT" && for f in $places Makefile; do install -D "$f" "$OLDPWD/tree/$f"; done)
	sed -i "s/${version%.*}\.[0-9]/${version%.*}.77/" "tree/$place"
	B=none "$ROOT/scripts/check-version" tree 2>err && unseen="${unseen:-} $place"
done
check "another one is seen wherever it stands${unseen:+, but not in$unseen}" [ -z "${unseen:-}" ]

# completion of a key
cat >complete.bash <<'END2'
source "$1"
COMP_LINE=$2 COMP_POINT=${#2}
read -ra COMP_WORDS <<<"$2"
[[ $2 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
compopt() { :; }
_dspy_mpi
echo "${COMPREPLY[@]}"
END2
asked() { bash complete.bash inst/share/bash-completion/completions/dspy-mpi "$1"; }
check "bash: a key, a command, a topic" sh -c "[ '$(asked "dspy-mpi compile job.json --lm.temp")' = --lm.temperature= ] && [ '$(asked "dspy-mpi comp")' = compile ] && [ '$(asked "dspy-mpi help exit")' = exit-codes ]"
if command -v zsh >/dev/null; then
	cat >complete.zsh <<'END2'
compdef() { : }
_arguments() { print -rl -- "$@" }
compadd() { print -rl -- ${(P)2} }
source inst/share/zsh/site-functions/_dspy-mpi
words=(dspy-mpi compile job.json --lm.temp) CURRENT=4 && _dspy_mpi
words=(dspy-mpi help exit) CURRENT=3 && _dspy_mpi
END2
	run 0 zsh -f complete.zsh
	check "zsh: a key, a topic" sh -c 'grep -q "^--lm.temperature=\[.*:value:_files$" out && grep -qx exit-codes out && ! grep -q . err'
	# a shell at a terminal, as its users have it: what is on the line after the key is pressed
	cat >live.zsh <<'END2'
zmodload zsh/zpty
zpty -b live "HOME=$PWD TERM=dumb exec zsh -f -i"
typed() { # typed TEXT: the line that comes of TEXT and a tab
	zpty -w live "PS1='' PS2='' RPS1=''; unsetopt zle_bracketed_paste prompt_cr prompt_sp; fpath=($PWD/inst/share/zsh/site-functions \$fpath); autoload -Uz compinit; compinit -u -D; bindkey '^I' complete-word; report() { print -r -- \"[[\$BUFFER]]\"; BUFFER=; zle accept-line }; zle -N report; bindkey '^X' report; print rea''dy"
	zpty -r live seen '*ready*' || exit 1
	zpty -n -w live "$1"$'\t\x18'
	zpty -r live seen '*]]*' || exit 1
	print -r -- "${${seen##*\[\[}%%\]\]*}"
}
for text in "$@"; do typed $text; done
zpty -d live
END2
	run 0 zsh -f live.zsh "dspy-mpi comp" "dspy-mpi help exit-c" "dspy-mpi compile job.json --lm.temperat"
	printf '%s\n' "dspy-mpi compile " "dspy-mpi help exit-codes " "dspy-mpi compile job.json --lm.temperature=" >lines
	check "zsh at a terminal: a command, a topic, a key" cmp lines out
else
	skip_all 2 "no zsh: apt-get install zsh"
fi
if command -v fish >/dev/null; then
	cat >complete.fish <<'END2'
source inst/share/fish/vendor_completions.d/dspy-mpi.fish
complete -C "dspy-mpi compile --lm.temp"
complete -C "dspy-mpi help exit"
complete -C "dspy-mpi comp"
END2
	run 0 env HOME="$DIR" fish --no-config complete.fish
	check "fish: a key, a topic, a command" sh -c 'grep -q "^--lm.temperature" out && grep -q "^exit-codes" out && grep -qx compile out'
else
	skip "no fish: apt-get install fish"
fi
