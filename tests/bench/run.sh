#!/bin/sh
# All benches against one build: tests/bench/run.sh BUILD_DIR [SECONDS]
# Each line: name, value, unit, and the target where there is one. The client
# runs on the same machine. Others' work disturbs: the load before and after
# is printed, and each ingest figure is the best of RUNS (3).
set -eu
B=${1:?build folder}
SECS=${2:-4}
RUNS=${RUNS:-3}
PORT=${PORT:-18420}
QUERY_ROWS=${ROWS:-10000000}
TESTS=$(cd "$(dirname "$0")/.." && pwd)
L=$B/tests/bench/load_bench
. "$(dirname "$0")/program.sh"

mkdir -p "$W/plain" "$W/cuts" "$W/empty"
"$L" pipeline >"$W/cuts/badge.sql"
cp "$W/cuts/badge.sql" "$W/empty"
# The intake alone: no cut while it is measured.
{ "$L" pipeline
echo "ALTER SYSTEM SET cut_interval = '24 hours';"
echo "ALTER SYSTEM SET cut_rows = 100000000;"; } >"$W/plain/badge.sql"

# name value unit, with the target beside it
show() {
	awk -F '\t' -v t="$1" '{ printf "%-42s %12s %-16s%s\n", $1, $2, $3,
	    NR == 1 && t != "" ? "target " t : "" }'
}
# The best of RUNS by the first line's value.
ingest() {      # config, events, connections, target
	best=0
	for i in $(seq "$RUNS"); do
		start "$1"
		"$L" ingest label="$5" port=$PORT pid="$PID" events="$2" \
		    conns="$3" secs="$SECS" >"$W/one"
		stop
		now=$(awk -F '\t' 'NR == 1 { printf "%d", $2 }' "$W/one")
		[ "$now" -le "$best" ] || { best=$now; cp "$W/one" "$W/best"; }
	done
	show "$4" <"$W/best"
}

echo "machine: $(nproc) cores, $(uname -sr), load$(cut -d' ' -f1-3 /proc/loadavg | sed 's/^/ /')"
ingest plain 1 64 ">= 45000" "1 a request, 64 conns:"
ingest plain 100 8 ">= 400000" "100 a request, 8 conns:"
ingest plain 1000 4 ">= 700000, 1.6 CPU-s" "1000 a request, 4 conns:"
ingest plain 10000 4 "" "10000 a request, 4 conns:"
ingest cuts 1000 4 "" "1000 a request, with cuts:"

start plain
"$L" body label="1 M events in a body:" port=$PORT pid=$PID n=1000000 |
    head -2 | show ">= 700000"
stop
# Memory without the dedupe window, which holds some 40 bytes a key.
for events in 1000000 4000000; do
	start plain
	"$L" body label="$((events / 1000000)) M without key:" port=$PORT \
	    pid=$PID n=$events path=/api/v1/streams/badge_all | show "flat memory"
	stop
done

start plain
"$L" visible label="20000 events/s:" port=$PORT pid=$PID events=100 conns=8 \
    rate=20000 secs="$((SECS * 2))" | show ""
echo "  targets: visible p99 20 ms, view p99 2 ms"
stop

# 2 M rows in silver, then the same again in the log: both layers answer.
start plain
"$L" ingest label=fill port=$PORT events=5000 conns=4 secs=3 >"$W/fill"
ROWS=$(curl -sf "127.0.0.1:$PORT/api/v1/sql" -d 'SELECT count(*) FROM badge' |
    sed 's/.*"rows":\[\["\{0,1\}\([0-9]*\).*/\1/')
"$L" post label="cut:" port=$PORT n="$ROWS" path=/api/v1/batch/run | show ""
"$L" ingest label=fill port=$PORT events=1000 conns=4 secs=1 >"$W/fill"
"$L" query label="quiet:" port=$PORT n=3000 \
    path="/api/v1/views/visits_hourly?office=berlin&limit=24" |
    show "p99 2 ms"
for i in $(seq "$RUNS"); do
	"$L" post label="recompute:" port=$PORT n="$ROWS" \
	    path="/api/v1/recompute?view=visits_hourly"
done | sort -t"$(printf '\t')" -k2,2n | grep rows/s | tail -1 |
    show ">= 10000000"
stop

# What a sender feels of it.
PORT=$PORT RUNS=$RUNS "$(dirname "$0")/beside.sh" "$B" "$SECS" |
    awk -F '\t' '{ printf "%-42s %12s %-16s%s\n", $1, $2, $3,
	$3 == "times" ? "target <= 2" : "" }'

# The six view queries and two recomputes beside DuckDB, on the same Parquet files.
[ -d "$TESTS/node_modules/@duckdb" ] || (cd "$TESTS" &&
    npm install --no-audit --no-fund --loglevel=error)
node "$TESTS/bench/queries.mjs" "$B" rows="$QUERY_ROWS" port=$PORT \
    >"$W/queries"
awk -F '\t' '{ printf "%-46s %8s %-16s%s\n", $1, $2, $3,
	$3 == "times" ? "target >= 2" : "" }' "$W/queries"

# The same NDJSON file to Parquet through Tarn and through DuckDB's COPY.
TMPDIR="$W" RUNS="$RUNS" node "$TESTS/bench/copy.mjs" "$B" 2>"$W/log" ||
    { cat "$W/log"; exit 1; }

"$B/tests/bench/compact_bench" days="${DAYS:-30}" |
    show "young <= 8, bytes and time <= 1.2 times"

for i in $(seq "$RUNS"); do
	"$L" start label="empty log:" port=$PORT secs=2 -- "$B/tarn" run \
	    --config "$W/empty" --data "$W/data" --http 127.0.0.1:$PORT \
	    2>"$W/log" >"$W/one"
	rm -rf "$W/data"
	cat "$W/one"
done | sort -t"$(printf '\t')" -k1,1r -k2,2n | awk -F '\t' '!seen[$1]++' |
    show "start 100 ms, rest 25 MB"
strip -o "$W/tarn" "$B/tarn"
printf 'binary, stripped\t%s\tMB\n' \
    "$(awk -v n="$(wc -c <"$W/tarn")" 'BEGIN { printf "%.2f", n / 1e6 }')" |
    show "8 MB"
# Many lines, brokers fourfold: shorter runs.
PORT=$((PORT + 10)) RUNS=2 "$(dirname "$0")/mqtt.sh" "$B" $(((SECS + 1) / 2))
echo "load afterwards: $(cut -d' ' -f1-3 /proc/loadavg)"
