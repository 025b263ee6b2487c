#!/bin/sh
# Foreign readers for make interop, in build/interop: Python's readers of
# Iceberg and Delta, and Spark with the jars of both. What a registry does not
# give is said and left out: its tests then skip, with the last line as reason.
set -u
cd "$(dirname "$0")/../.."
dir=build/interop
mkdir -p build

python() {
	[ -f $dir/ready ] && return
	rm -rf $dir
	if python3 -m venv $dir >$dir.log 2>&1 &&
	    $dir/bin/pip install -q pyiceberg==0.12.0 pyarrow==26.0.1 deltalake==1.6.6 \
	    duckdb==1.4.4 duckdb-ext-parquet duckdb-ext-avro duckdb-ext-httpfs \
	    duckdb-ext-iceberg duckdb-ext-delta pytz >>$dir.log 2>&1; then
		touch $dir/ready
	else
		echo "interop: Python's readers are skipped: $(tail -1 $dir.log)"
		rm -rf $dir
	fi
}

# A Java and Maven of Debian's, where there are none.
java_and_maven() {
	want=
	command -v java >/dev/null || want="$want default-jre-headless"
	command -v mvn >/dev/null || want="$want maven"
	[ -z "$want" ] && return
	apt-get update -q && apt-get install -y -q --no-install-recommends $want
}
jar() {
	mvn -q -B dependency:copy -Dartifact="$1" -DoutputDirectory="$PWD/$dir/jars"
}
spark() {
	[ -f $dir/spark ] && return
	if java_and_maven >$dir-spark.log 2>&1 &&
	    $dir/bin/pip install -q pyspark==3.5.7 >>$dir-spark.log 2>&1 &&
	    jar org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.9.2 >>$dir-spark.log 2>&1 &&
	    jar io.delta:delta-spark_2.12:3.3.2 >>$dir-spark.log 2>&1 &&
	    jar io.delta:delta-storage:3.3.2 >>$dir-spark.log 2>&1; then
		touch $dir/spark
	else
		echo "interop: Spark is skipped: $(tail -1 $dir-spark.log)"
		rm -rf $dir/jars
	fi
}

python
[ -f $dir/ready ] && spark
exit 0
