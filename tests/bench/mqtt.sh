#!/bin/sh
# The MQTT bench: tests/bench/mqtt.sh BUILD_DIR [SECONDS of each run]
# Every line runs against Tarn twice (a topic that a stream takes: committed
# and synced before the answer; a topic that none takes) and against Debian's
# mosquitto twice (with persistence as its package sets it, and without),
# which writes nothing to disk before it answers. Best of RUNS (2), each
# against a new broker. Tarn's rows are counted afterwards.
set -eu
B=${1:?build folder}
SECS=${2:-2}
RUNS=${RUNS:-2}
PORT=${PORT:-18430}
MQTT=$((PORT + 1))
C=$B/tests/bench/mqtt_bench
. "$(dirname "$0")/program.sh"
export PATH="$PATH:/usr/sbin"

mkdir -p "$W/conf"
cat >"$W/conf/pipeline.sql" <<'SQL'
CREATE TABLE readings (
  ts timestamptz NOT NULL,
  device text NOT NULL,
  n int8 NOT NULL,
  temp_c double precision,
  humidity double precision
) WITH (event_time = 'ts', mqtt = 'sensors/+');
ALTER SYSTEM SET cut_interval = '24 hours';
ALTER SYSTEM SET cut_rows = 100000000;
SQL

start_tarn() {
	start conf --mqtt 127.0.0.1:$MQTT
}
start_mosquitto() {     # persistence: true or false
	mkdir -p "$W/data"
	cat >"$W/mosquitto.conf" <<CONF
listener $MQTT 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
persistence $1
persistence_location $W/data/
user $(id -un)
CONF
	mosquitto -c "$W/mosquitto.conf" >"$W/out" 2>"$W/log" &
	PID=$!
	try_until mosquitto_pub -p $MQTT -t bench -m up
}
# What went to a stream is in it, each message once.
count_rows() {  # sent
	rows=$(curl -sf "127.0.0.1:$PORT/api/v1/sql" \
	    -d 'SELECT count(*) FROM readings' |
	    sed 's/.*"rows":\[\["\{0,1\}\([0-9]*\).*/\1/')
	[ "$rows" = "$1" ] || {
		echo "$1 messages were sent, $rows rows are there" >&2
		exit 1
	}
}
# The best of RUNS to $W/best: least memory, else most messages a second.
best() {        # broker, mode and options
	broker=$1
	shift
	: >"$W/all"
	for i in $(seq "$RUNS"); do
		topic=plain/one
		case $broker in
		stream) topic=sensors/one; start_tarn ;;
		plain) start_tarn ;;
		kept) start_mosquitto true ;;
		free) start_mosquitto false ;;
		esac
		# mosquitto may fail its line ("none"); Tarn ends the bench.
		"$C" "$@" topic=$topic port=$MQTT pid=$PID secs="$SECS" \
		    >>"$W/all" || case $broker in
		stream | plain) exit 1 ;;
		esac
		case $broker-$1 in
		stream-publish) count_rows "$(tail -1 "$W/all" | cut -f5)" ;;
		esac
		stop
	done
	case $1 in
	idle) sort -n "$W/all" ;;
	*) sort -rn "$W/all" ;;
	esac | head -1 >"$W/best"
}
cell() {        # kind
	awk -F '\t' -v kind="$1" '
	kind == "rate" { printf "%10d %6.2f ", $1, $4 }
	kind == "late" { printf "%8.2f %8.2f ", $2 / 1000, $3 / 1000 }
	kind == "bytes" { printf "%10d %6s ", $1, "" }
	END { if (NR == 0) printf "%10s %6s ", "none", "" }' "$W/best"
}
row() {         # kind, label, target, mode and options
	kind=$1 label=$2 target=$3
	shift 3
	printf '%-30s' "$label"
	for broker in stream plain kept free; do
		# At a rate, mosquitto gets half of what it can do.
		case $broker in
		stream | plain) best $broker "$@" ;;
		*) best $broker $(echo "$@" |
		    sed 's/rate=250000/rate=35000/') ;;
		esac
		cell "$kind"
	done
	echo "$target"
}

echo "MQTT, load$(cut -d' ' -f1-3 /proc/loadavg | sed 's/^/ /')"
echo "Tarn syncs before it acknowledges what a stream takes; mosquitto" \
    "$(mosquitto -h | sed -n '1s/.*version //p') does not sync."
printf '%-30s%-18s%-18s%-18s%-18s%s\n' "" "Tarn, stream" "Tarn, topic" \
    "mosquitto" "without persist." "target (stream)"
echo "messages/s, CPU-s for a million"
row rate "QoS 0, 1 connection" ">= 1000000" publish qos=0 conns=1
row rate "QoS 0, 50 connections" "" publish qos=0 conns=50
row rate "QoS 0, 1000 connections" "" publish qos=0 conns=1000
row rate "QoS 1, 1 conn, 1 in flight" "" publish qos=1 conns=1
row rate "QoS 1, 1 conn, 320 in flight" ">= 500000" publish qos=1 conns=1 \
    inflight=320
row rate "QoS 1, 50 connections" ">= 100000" publish qos=1 conns=50
row rate "QoS 1, 1000 connections" "" publish qos=1 conns=1000
row rate "QoS 2, 1 conn, 20 in flight" "" publish qos=2 conns=1 inflight=20
row rate "QoS 2, 50 connections" "" publish qos=2 conns=50
row rate "QoS 2, 1000 connections" "" publish qos=2 conns=1000
row rate "fan-out, QoS 0, 1 subscriber" ">= 210000" fanout qos=0 inflight=500
row rate "fan-out, QoS 1, 1 subscriber" "" fanout qos=1 inflight=100
echo "acknowledged after, ms: p50 p99"
row late "50000/s on 50 connections" "p99 2" publish qos=1 conns=50 \
    inflight=20 rate=50000
row late "250000/s on 1 (mosq. 35000/s)" "p99 2" publish qos=1 conns=1 \
    inflight=1000 rate=250000
echo "bytes an idle connection, beside its socket"
row bytes "4000 connections" "<= 4096" idle conns=4000
