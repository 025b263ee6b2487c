#!/bin/sh
# One file of whole-program tests: its words to $out/NAME, and a line with how
# long it took and how much processor it had. Called by tests/run.sh.
words=$out/$(basename "$1" .test.mjs)-$(basename "$(dirname "$1")")
begun=$(date +%s%N)
node --test --test-reporter=spec "$1" > "$words" 2>&1
rc=$?
took=$((($(date +%s%N) - begun) / 1000000))
# A pipe would have times of its own.
times > "$words.times"
cpu=$(awk 'NR == 2 { split($1, u, "[ms]"); split($2, s, "[ms]"); printf "%.1f", u[1] * 60 + u[2] + s[1] * 60 + s[2] }' "$words.times")
rm "$words.times"
printf '%s %6d.%d s, processor %5s s  %s\n' "$([ $rc -eq 0 ] && echo ok || echo FAILED)" $((took / 1000)) $((took % 1000 / 100)) "$cpu" "$1"
exit $rc
