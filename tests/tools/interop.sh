#!/bin/sh
# Python's readers of Iceberg and Delta for make interop, in build/interop.
# Where PyPI is not reached, says so and leaves nothing: the tests then skip.
set -u
cd "$(dirname "$0")/../.."
dir=build/interop
[ -f $dir/ready ] && exit 0
rm -rf $dir
mkdir -p build
if python3 -m venv $dir >$dir.log 2>&1 &&
    $dir/bin/pip install -q pyiceberg==0.12.0 pyarrow==26.0.1 deltalake==1.6.6 \
    duckdb==1.4.4 duckdb-ext-parquet duckdb-ext-avro duckdb-ext-httpfs \
    duckdb-ext-iceberg duckdb-ext-delta pytz >>$dir.log 2>&1; then
	touch $dir/ready
else
	echo "interop: Python's readers are skipped: $(tail -1 $dir.log)"
	rm -rf $dir
fi
