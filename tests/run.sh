#!/bin/sh
# make test: unit tests, as many at once as there are processors, then
# whole-program tests with node's runner, one more than that: they wait for
# disks, clocks and browsers a third of their time. Ends with one line "N passed, N failed,
# N skipped" over both; fails on zero.
set -u
cd "$(dirname "$0")/.."
: "${TARN_SEED:=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}"
export TARN_SEED
out=build/test-output/e2e
rm -rf "$out"
mkdir -p "$out"
export out
echo "seed: TARN_SEED=$TARN_SEED"
ready() { for m in playwright-core mqtt icebird avsc; do [ -d tests/node_modules/$m ] || return 1; done; }
ready || (cd tests && npm install --no-audit --no-fund --loglevel=error) > "$out/../npm" 2>&1 &
make -s -j"$(nproc)" VARIANT=release unit > "$out/../unit" 2>&1
unit_rc=$?
cat "$out/../unit"
wait
ready || { cat "$out/../npm"; exit 1; }
# The long ones first, so that none of them is alone at the end.
{ for f in web/page e2e/kill e2e/budget e2e/differential e2e/mqtt_faults e2e/page e2e/mqtt_statements e2e/faults e2e/powerloss \
	e2e/mqtt_bridge e2e/mqtt_clients e2e/bitrot e2e/time_travel e2e/inbox e2e/compaction e2e/parquet_foreign e2e/foreign; do
	ls "tests/$f.test.mjs"
  done; ls tests/e2e/*.test.mjs tests/web/*.test.mjs; } | awk '!seen[$0]++' |
	xargs -P "${JOBS:-$(($(nproc) + 1))}" -n 1 tests/e2e/one.sh
e2e_rc=$?
cat "$out"/* > "$out/../words"
cat "$out/../words"
unit_pass=$(sed -n 's/^\([0-9]*\) passed.*/\1/p' "$out/../unit" | tail -1)
unit_fail=$(sed -n 's/^[0-9]* passed, \([0-9]*\) failed.*/\1/p' "$out/../unit" | tail -1)
count() { awk -v what="$1" '$2 == what && NF == 3 { n += $3 } END { print n + 0 }' "$out/../words"; }
p=$((${unit_pass:-0} + $(count pass)))
f=$((${unit_fail:-1} + $(count fail)))
sed -n 's/^ *﹣ /skipped: /p' "$out/../words"
echo "$p passed, $f failed, $(count skipped) skipped" | tee "$out/../summary"
[ $unit_rc -eq 0 ] && [ $e2e_rc -eq 0 ] && [ "$p" -gt 0 ]
