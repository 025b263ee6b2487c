#!/bin/sh
# clang-tidy over every room (.clang-tidy says which checks), warnings are
# errors, as many files at once as there are processors; files that did not
# change since the last good run are not looked at again (build/tidy holds
# their checksums).
set -u
cd "$(dirname "$0")/../.."
mkdir -p build/tidy
rm -f build/tidy/*.bad
headers=$(cat src/*/*.h .clang-tidy | cksum | tr ' ' -)
seen=0 fresh=0
: > build/tidy/list
for f in src/*/*.c; do
	seen=$((seen + 1))
	sum=$(cksum < "$f" | tr ' ' -)-$headers
	mark=build/tidy/$(echo "$f" | tr / _)
	[ "$(cat "$mark" 2>/dev/null)" = "$sum" ] && continue
	fresh=$((fresh + 1))
	echo "$f $sum $mark" >> build/tidy/list
done
xargs -r -P "${JOBS:-$(nproc)}" -L 1 sh -c '
	if clang-tidy --quiet "$1" -- -std=c11 -D_GNU_SOURCE -Isrc > "$3.out" 2>/dev/null; then
		echo "$2" > "$3"
	else
		{ echo "$1"; grep -E "warning|error" "$3.out" | head -5; } > "$3.bad"
	fi
	rm -f "$3.out"' tidy < build/tidy/list
cat build/tidy/*.bad 2>/dev/null
bad=$(find build/tidy -name '*.bad' | wc -l)
echo "tidy: $seen files, $fresh looked at anew, $bad bad"
[ "$seen" -gt 0 ] && [ "$bad" -eq 0 ]
