#!/bin/sh
# What a sender feels of a recompute: tests/bench/beside.sh BUILD_DIR [SECONDS]
# ROWS (4000000) rows lie in silver. Events come at RATE (20000) a second, 100
# a request, open loop; by turns quiet, and while one recompute of a view with
# distinct people and a percentile follows the other. RUNS (3) of each; a p50,
# a p99 is the least of its runs, for others' work on the machine only adds.
# The ratio of the two p99 is the figure. Lines: name, value, unit, with tabs.
set -eu
B=${1:?build folder}
SECS=${2:-8}
RUNS=${RUNS:-3}
ROWS=${ROWS:-4000000}
RATE=${RATE:-20000}
PORT=${PORT:-18420}
L=$B/tests/bench/load_bench
. "$(dirname "$0")/program.sh"

mkdir -p "$W/conf"
{ "$L" pipeline
cat <<'SQL'
CREATE MATERIALIZED VIEW doors_hourly AS
SELECT door, date_trunc('hour', ts) AS hour, count(DISTINCT employee_id) AS people,
  percentile_cont(0.95) WITHIN GROUP (ORDER BY temp_c) AS p95
FROM badge GROUP BY door, hour;
ALTER SYSTEM SET cut_interval = '24 hours';
ALTER SYSTEM SET cut_rows = 100000000;
SQL
} >"$W/conf/badge.sql"
start conf
filled=0
while [ $filled -lt "$ROWS" ]; do
	"$L" body port=$PORT n=1000000 >"$W/fill"
	filled=$((filled + 1000000))
done
curl -sf -o /dev/null -X POST "127.0.0.1:$PORT/api/v1/batch/run"

# name: one open loop; its p50 and p99 go to $W/NAME.
measure() {
	"$L" visible port=$PORT events=100 conns=8 rate="$RATE" secs="$SECS" |
	    awk -F '\t' '$1 == "answer p50" { p50 = $2 } $1 == "answer p99" {
	    print p50, $2 }' >>"$W/$1"
}
for i in $(seq "$RUNS"); do
	measure quiet
	: >"$W/go"
	while [ -f "$W/go" ]; do
		curl -sS --fail-with-body -X POST -w '\n' \
		    "127.0.0.1:$PORT/api/v1/recompute?view=doors_hourly" \
		    >>"$W/done" || { tail -1 "$W/done"; exit 1; }
	done &
	LOOP=$!
	measure beside
	rm "$W/go"
	wait $LOOP
done
awk -v n="$(grep -c rows "$W/done")" -v rows="$filled" '
FNR == 1 { file++ }
!(file in p50) || $1 < p50[file] { p50[file] = $1 }
!(file in p99) || $2 < p99[file] { p99[file] = $2 }
END {
	printf "beside a recompute: quiet, answer p50\t%.3f\tms\n", p50[1]
	printf "quiet, answer p99\t%.3f\tms\n", p99[1]
	printf "%d recomputes of %.1f M rows, p50\t%.3f\tms\n", n, rows / 1e6, p50[2]
	printf "the same, answer p99\t%.3f\tms\n", p99[2]
	printf "p99 beside a recompute / quiet\t%.2f\ttimes\n", p99[2] / p99[1]
}' "$W/quiet" "$W/beside"
