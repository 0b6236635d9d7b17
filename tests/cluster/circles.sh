# scripts/check-circles: no two files of a room need each other, however long the way around; a planted circle is found.
. tests/lib.sh
plan 8
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
