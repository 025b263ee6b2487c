# What the benches share; read with ".", where B is the build folder and PORT
# the HTTP port: a scratch folder W, and a program that has its data there.
W=$(mktemp -d "${TMPDIR:-/tmp}/tarn-bench-XXXXXX")
PID=
stop() {
	[ -z "$PID" ] || { kill "$PID"; wait "$PID" || true; }
	PID=
	rm -rf "$W/data"
}
trap 'stop; wait; rm -rf "$W"' EXIT
trap 'exit 1' INT TERM

try_until() {   # command: until it succeeds
	tries=0
	until "$@" >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ $tries -lt 200 ] || { cat "$W/log" >&2; exit 1; }
		sleep 0.05
	done
}
start() {       # folder of W with the configuration, more arguments
	conf=$1
	shift
	"$B/tarn" run --config "$W/$conf" --data "$W/data" \
	    --http 127.0.0.1:$PORT "$@" >"$W/out" 2>"$W/log" &
	PID=$!
	try_until curl -sf "127.0.0.1:$PORT/readyz"
}
