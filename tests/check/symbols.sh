#!/bin/sh
# Every symbol with external linkage starts tn_<room>_. base is the vocabulary
# and names by noun; public types' functions of record's batch likewise begin
# tn_record_. $1: folder with the archives.
set -u
cd "$(dirname "$0")/../.."
dir=${1:-build/release}
nouns='alloc|zalloc|realloc|strdup|strndup|free|try|slice|arena|buf|budget|cursor|hash64|hash128|crc32c|zstd|gzip|inflate|counter|histogram|say|parse|utf8|status|diag|assert'
seen=0 bad=0
for room in $(awk '!/^#/ {print $2}' src/LAYERS); do
	[ -f "$dir/lib$room.a" ] || { echo "$dir/lib$room.a is missing"; bad=$((bad + 1)); continue; }
	for s in $(nm -g --defined-only "$dir/lib$room.a" 2>/dev/null | awk 'NF == 3 && $2 ~ /[A-Z]/ {print $3}' | sort -u); do
		seen=$((seen + 1))
		case $s in
		tn_"$room"_*) continue ;;
		_GLOBAL__*|__odr_asan*|__asan*|__gcov*) continue ;;
		esac
		if [ "$room" = base ] && printf '%s' "$s" | grep -qE "^tn_($nouns)(_|$)"; then continue; fi
		[ "$room $s" = "app main" ] && continue
		echo "$room: $s does not start with tn_${room}_"; bad=$((bad + 1))
	done
done
echo "symbols: $seen looked at, $bad bad"
[ "$seen" -gt 0 ] && [ "$bad" -eq 0 ]
