#!/bin/sh
# A room includes only rooms on a lower floor of src/LAYERS, of them only the
# public header, and each outside library is included by exactly one room.
set -u
cd "$(dirname "$0")/../.."
seen=0 bad=0
floor() { awk -v r="$1" '$2 == r {print $1}' src/LAYERS; }
for f in src/*/*.[ch]; do
	room=${f#src/}; room=${room%%/*}
	mine=$(floor "$room")
	[ -n "$mine" ] || { echo "$f: room $room is not in src/LAYERS"; bad=$((bad + 1)); continue; }
	for inc in $(sed -n 's/^#include "\(.*\)"/\1/p' "$f"); do
		seen=$((seen + 1))
		other=${inc%%/*}
		[ "$other" = "$room" ] && continue
		if [ "$inc" != "$other/$other.h" ]; then
			echo "$f: includes $inc, which is not a room's public header"; bad=$((bad + 1))
		elif [ "$(floor "$other")" -ge "$mine" ]; then
			echo "$f: floor $mine includes $other on floor $(floor "$other")"; bad=$((bad + 1))
		fi
	done
done
only() { # header room
	for f in $(grep -lE "^#include <$1" src/*/*.[ch]); do
		seen=$((seen + 1))
		case $f in src/$2/*) ;; *) echo "$f: only $2 may include <$1"; bad=$((bad + 1)) ;; esac
	done
}
only microhttpd http; only uv.h net; only lmdb log; only sqlite3 catalog; only zstd base; only zlib base
only pg_query sql; only sodium governance; only pcre2 exec; only curl/ app; only gnutls/gnutls net; only gnutls/crypto governance
for f in $(grep -lE 'MDB_(WRITEMAP|NOSYNC|NOMETASYNC|MAPASYNC)' src/*/*.[ch]); do
	echo "$f: names an LMDB mode that loses acknowledged events"; bad=$((bad + 1))
done
for f in src/*/*.c; do
	room=${f#src/}; room=${room%%/*}
	case $room in os|net) continue ;; esac
	if grep -qE '^#[ 	]*(if|ifdef|ifndef)\b' "$f"; then
		echo "$f: #if only in os, net and generated files"; bad=$((bad + 1))
	fi
done
echo "layers: $seen includes looked at, $bad bad"
[ "$seen" -gt 0 ] && [ "$bad" -eq 0 ]
