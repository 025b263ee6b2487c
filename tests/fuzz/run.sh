#!/bin/sh
# run.sh DIR SECONDS [NAME...]: each fuzzer over its kept corpus for SECONDS,
# but mqtt until it has had MQTT_PACKETS (10 million), however long it takes:
# anybody who reaches the port can send those.
# New inputs stay in build/; crashes are kept beside it and fail the run.
set -u
dir=$1 seconds=$2; shift 2
ran=0 bad=0
for f in "$dir"/*_fuzz; do
	name=$(basename "$f" _fuzz)
	[ $# -gt 0 ] && case " $* " in *" $name "*) ;; *) continue ;; esac
	mkdir -p "build/corpus/$name" "build/crashes/$name"
	seeds=tests/fuzz/corpus/$name; [ -d "$seeds" ] || seeds=
	ran=$((ran + 1))
	limit=-max_total_time=$seconds
	[ "$name" = mqtt ] && limit=-runs=${MQTT_PACKETS:-10000000}
	if "$f" "$limit" -timeout=10 -rss_limit_mb=2048 -artifact_prefix="build/crashes/$name/" \
	    "build/corpus/$name" $seeds > "build/corpus/$name.log" 2>&1; then
		echo "ok    $name: $(grep -oE '^#[0-9]+' "build/corpus/$name.log" | tail -1 | tr -d '#') inputs"
	else
		echo "CRASH $name: see build/corpus/$name.log and build/crashes/$name"; bad=$((bad + 1))
	fi
done
echo "fuzz: $ran fuzzers, $bad crashed"
[ "$ran" -gt 0 ] && [ "$bad" -eq 0 ]
