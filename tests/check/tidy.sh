#!/bin/sh
# clang-tidy over every room (.clang-tidy says which checks), warnings are
# errors; files that did not change since the last good run are not looked at
# again (build/tidy holds their checksums).
set -u
cd "$(dirname "$0")/../.."
mkdir -p build/tidy
headers=$(cat src/*/*.h .clang-tidy | cksum | tr ' ' -)
seen=0 fresh=0 bad=0
for f in src/*/*.c; do
	seen=$((seen + 1))
	sum=$(cksum < "$f" | tr ' ' -)-$headers
	mark=build/tidy/$(echo "$f" | tr / _)
	[ "$(cat "$mark" 2>/dev/null)" = "$sum" ] && continue
	fresh=$((fresh + 1))
	if clang-tidy --quiet "$f" -- -std=c11 -D_GNU_SOURCE -Isrc > build/tidy/out 2>/dev/null; then
		echo "$sum" > "$mark"
	else
		grep -E 'warning|error' build/tidy/out | head -5
		bad=$((bad + 1))
	fi
done
echo "tidy: $seen files, $fresh looked at anew, $bad bad"
[ "$seen" -gt 0 ] && [ "$bad" -eq 0 ]
