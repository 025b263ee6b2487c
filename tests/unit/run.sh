#!/bin/sh
# Run unit test programs, as many at once as there are processors (JOBS), and
# count them; fails when one fails or when there was none. TARN_SEED is printed
# and handed on. The last rooms' programs take longest: they begin.
set -u
: "${TARN_SEED:=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"
export TARN_SEED
# A failure on another thread than the test's is said, too.
export CMOCKA_TEST_ABORT=1
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT
export out
: > "$out/.passed"
: > "$out/.failed"
[ $# -eq 0 ] || printf '%s\n' "$@" | tac | xargs -P "${JOBS:-$(nproc)}" -n 1 sh -c '
	words=$out/$(echo "$1" | tr / _)
	# Some tests send standard error away (quiet.h), where a failed check is
	# said, too; a sanitizer reports to a file.
	export TARN_SAID="$words.said"
	for o in ASAN_OPTIONS TSAN_OPTIONS UBSAN_OPTIONS; do
		eval "export $o=\"\${$o:-}:log_path=$words.report\""
	done
	begun=$(date +%s%N)
	if "$1" > "$words" 2>&1; then
		grep -c "^\[       OK" "$words" >> "$out/.passed"
		rm -f "$words.said"
	else
		echo "ended with $?" >> "$words"
		echo "$1" >> "$out/.failed"
	fi
	echo "$((($(date +%s%N) - begun) / 1000000)) ms $1" >> "$out/.times"' run
while read -r t; do
	words=$out/$(echo "$t" | tr / _)
	grep -v '^\[ RUN\|^\[       OK' "$words" | tail -40
	# A failed check aborts: its test has no verdict.
	awk '/^\[ RUN/ { at = $NF } /^\[(       OK|  FAILED)/ { at = "" }
	    END { if (at != "") print "in the midst of " at }' "$words"
	# cmocka ends its words without a newline.
	tail -n 20 "$words.said" 2> /dev/null | awk 1
	cat "$words".report.* 2> /dev/null | head -80
	echo "FAILED: $t (TARN_SEED=$TARN_SEED)"
done < "$out/.failed"
passed=$(awk '{ n += $1 } END { print n + 0 }' "$out/.passed")
failed=$(wc -l < "$out/.failed")
[ -z "${TIMES:-}" ] || sort -rn "$out/.times"
echo "unit: $# programs, seed $TARN_SEED"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
