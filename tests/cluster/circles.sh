# scripts/check-circles: no two files of a room need each other, however long the way around; a planted circle is found.
# scripts/check-includes: neither do headers, and no room includes a higher one or what is inside another.
. tests/lib.sh
plan 12
here() { B=$(dirname "$PROGRAM") run 0 scripts/check-circles; }
check "in this program there is none" here
mkdir -p "$DIR/scripts" "$DIR/src/room" "$DIR/src/upper" "$DIR/build/src/room" "$DIR/build/src/upper"
cp scripts/check-circles "$DIR/scripts"
file() { # file ROOM/NAME TEXT
	echo "$2" >"$DIR/src/$1.c"
	cc -c "$DIR/src/$1.c" -o "$DIR/build/src/$1.o"
}
found() { # found WORDS: that circle is told
	! "$DIR/scripts/check-circles" >"$DIR/found" && [ "$(cat "$DIR/found")" = "$1" ]
}
none() { "$DIR/scripts/check-circles" >"$DIR/found"; }
file room/first 'static int own(void) { return 1; } int first(void) { return own(); }'
file room/second 'int first(void); static int own(void) { return 2; } int second(void) { return first() + own(); }'
file room/third 'int first(void), second(void); int third(void) { return first() + second(); }'
file upper/high 'int third(void), high(void); int high(void) { return third() + high(); }'
check "files that use each other in one direction, and a function that calls itself" none
file room/first 'int second(void); int first(void) { return second(); }'
check "two that use each other" found "src/room: a circle: first.c second.c "
file room/first 'int third(void); int first(void) { return third(); }'
file room/third 'int second(void); int third(void) { return second(); }'
check "a longer way around" found "src/room: a circle: first.c second.c third.c "
file room/first 'extern const int table[]; int first(void) { return table[0]; }'
file room/third 'int second(void); const int table[] = {1}; int third(void) { return second(); }'
check "through a table of constants" found "src/room: a circle: first.c second.c third.c "
file room/first 'int high(void); int first(void) { return high(); }'
check "another room is the business of check-includes" none
file room/first 'int second(void); int first(void) { return second(); }'
rm "$DIR/src/room/second.c"
check "an object whose source is gone does not count" none
rm "$DIR/build/src/room/first.o"
unbuilt() { ! "$DIR/scripts/check-circles" >"$DIR/found" && grep -q "build/src/room/first.o is not there: make all first" "$DIR/found"; }
check "what is not built is no proof" unbuilt

rm -rf "$DIR/src" "$DIR/build"
mkdir -p "$DIR/src/base" "$DIR/src/json"
cp scripts/check-includes "$DIR/scripts"
header() { # header ROOM/NAME INCLUDED...
	of=$1
	shift
	for name in "$@"; do echo "#include \"$name.h\""; done >"$DIR/src/$of.h"
}
said_of_includes() { # what check-includes says, "" where all is well
	"$DIR/scripts/check-includes" >"$DIR/found" || [ -s "$DIR/found" ] || return 1
	[ "$(cat "$DIR/found")" = "$1" ]
}
header base/one base/two
header base/two base/three
header base/three
header json/value base/one
check "headers that include each other in one direction" said_of_includes ""
header base/three base/one
check "three that include each other" said_of_includes "src: headers that include each other: base/one.h base/three.h base/two.h "
header base/three json/value
check "a lower room that includes a higher one" sh -c "\"$DIR/scripts/check-includes\" | grep -qx 'src/base/three.h: src/base must not include from src/json'"
header base/three
header json/value base/inside
check "what is inside another room" said_of_includes "src/json/value.h: inside.h of another room"
