#!/bin/sh
# Run unit test programs one after the other and count them; fails when one
# fails or when there was none. TARN_SEED is printed and handed on.
set -u
: "${TARN_SEED:=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"
export TARN_SEED
# A failure on another thread than the test's is said, too.
export CMOCKA_TEST_ABORT=1
passed=0 failed=0
for t in "$@"; do
	if out=$("$t" 2>&1); then
		passed=$((passed + $(printf '%s\n' "$out" | grep -c '^\[       OK')))
	else
		failed=$((failed + 1))
		printf '%s\n' "$out" | grep -v '^\[ RUN\|^\[       OK' | tail -40
		echo "FAILED: $t (TARN_SEED=$TARN_SEED)"
	fi
done
echo "unit: $# programs, seed $TARN_SEED"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
