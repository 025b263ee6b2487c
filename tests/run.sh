#!/bin/sh
# make test: unit tests, then whole-program tests with node's runner. Ends with
# one line "N passed, N failed, N skipped" over both; fails on zero.
set -u
cd "$(dirname "$0")/.."
: "${TARN_SEED:=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"
export TARN_SEED
out=build/test-output
mkdir -p "$out"
echo "seed: TARN_SEED=$TARN_SEED"
make -s -j"$(nproc)" VARIANT=release unit > "$out/unit" 2>&1
unit_rc=$?
cat "$out/unit"
[ -d tests/node_modules/playwright-core ] && [ -d tests/node_modules/mqtt ] && [ -d tests/node_modules/icebird ] && [ -d tests/node_modules/avsc ] || (cd tests && npm install --no-audit --no-fund --loglevel=error) || exit 1
node --test --test-concurrency=1 --test-reporter=spec tests/e2e/*.test.mjs tests/web/*.test.mjs > "$out/e2e" 2>&1
e2e_rc=$?
cat "$out/e2e"
unit_pass=$(sed -n 's/^\([0-9]*\) passed.*/\1/p' "$out/unit" | tail -1)
unit_fail=$(sed -n 's/^[0-9]* passed, \([0-9]*\) failed.*/\1/p' "$out/unit" | tail -1)
count() { sed -n "s/^. $1 \([0-9]*\)$/\1/p" "$out/e2e" | tail -1; }
p=$((${unit_pass:-0} + $(count pass || echo 0)))
f=$((${unit_fail:-1} + $(count fail || echo 1)))
s=$(count skipped)
grep -h "# SKIP" "$out/e2e" | sed 's/^/skipped: /' || true
echo "$p passed, $f failed, ${s:-0} skipped" | tee "$out/summary"
[ $unit_rc -eq 0 ] && [ $e2e_rc -eq 0 ] && [ "$p" -gt 0 ]
