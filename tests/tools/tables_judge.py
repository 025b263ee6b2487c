"""Readers of Tarn's tables from Python, Spark among them, for tests/e2e/tables.test.mjs: a request
a line on standard input, its rows a line on standard output, in the form of
tests/e2e/tables/readers.mjs. Set up by tests/tools/interop.sh."""
import datetime
import decimal
import glob
import json
import os
import sys
import time
import warnings

warnings.filterwarnings('ignore')
EPOCH = datetime.datetime(1970, 1, 1)


def plain(v):
    if v is None or isinstance(v, str):
        return v
    if isinstance(v, bool):
        return 1 if v else 0
    if isinstance(v, (int, float, decimal.Decimal)):
        return float(v)
    if isinstance(v, datetime.datetime):
        if v.tzinfo is not None:
            v = v.astimezone(datetime.timezone.utc).replace(tzinfo=None)
        return (v - EPOCH) / datetime.timedelta(microseconds=1) / 1000
    if isinstance(v, datetime.date):
        return (v - EPOCH.date()).days * 86400000.0
    if isinstance(v, (bytes, bytearray)):
        return bytes(v).decode('utf-8', 'replace')
    return str(v)


def arrow(table, names):
    names = [n for n in names if n in table.column_names]
    cols = [table.column(n).to_pylist() for n in names]
    return names, [[plain(v) for v in r] for r in zip(*cols)]


def pyiceberg(q):
    if 'rest' in q:
        from pyiceberg.catalog import load_catalog
        cat = load_catalog('tarn', type='rest', uri=q['rest'], warehouse='disk')
        table = cat.load_table(tuple(q['path'].split('/')[-2:]))
    else:
        from pyiceberg.table import StaticTable
        hint = open(os.path.join(q['path'], 'metadata/version-hint.text')).read()
        table = StaticTable.from_metadata(os.path.join(q['path'], f'metadata/v{hint}.metadata.json'))
    scan = table.scan(snapshot_id=q['snapshot']) if 'snapshot' in q else table.scan(**({'row_filter': q['filter']} if 'filter' in q else {}))
    return arrow(scan.to_arrow(), q['types'])


def deltalake(q):
    import pyarrow
    from deltalake import DeltaTable, QueryBuilder
    t = DeltaTable(q['path'], version=q.get('snapshot'))
    r = pyarrow.table(QueryBuilder().register('t', t).execute('SELECT * FROM t' + (f" WHERE {q['filter']}" if 'filter' in q else '')).read_all())
    return arrow(r, q['types'])


def pyarrow_files(q):
    """The files in force as they lie there: older ones lack younger columns."""
    import pyarrow
    import pyarrow.dataset as ds
    if not q['files']:
        return [], []
    found = ds.dataset(q['files'], format='parquet', partitioning='hive')
    schema = pyarrow.unify_schemas([found.schema] + [f.physical_schema for f in found.get_fragments()], promote_options='permissive')
    return arrow(found.replace_schema(schema).to_table(), q['types'])


duck = None


def duckdb(q, source):
    global duck
    if duck is None:
        import duckdb as d
        import duckdb_ext
        duck = d.connect(config={'allow_unsigned_extensions': 'true', 'threads': '1'})
        duck.execute("SET TimeZone = 'UTC'")
        found = [f for p in duckdb_ext.__path__ for f in glob.glob(os.path.join(p, 'extensions/*/*'))][0]
        for e in ('parquet', 'avro', 'httpfs', 'iceberg', 'delta'):
            duck.execute(f"LOAD '{found}/{e}.duckdb_extension'")
    form = {'time': 'epoch_us({}) / 1000.0', 'date': 'epoch_us({}::TIMESTAMP) / 1000.0', 'number': '{}::DOUBLE', 'bool': '{}::INTEGER', 'text': '{}', 'bytes': '{}'}
    have = [c[0] for c in duck.execute(f'DESCRIBE SELECT * FROM {source}').fetchall()]
    names = [n for n in q['types'] if n in have]
    cols = ', '.join(form[q['types'][n]].format(f'"{n}"') for n in names)
    where = f" WHERE {q['filter']}" if 'filter' in q else ''
    return names, [[plain(v) for v in r] for r in duck.execute(f'SELECT {cols} FROM {source}{where}').fetchall()]


def duck_iceberg(q):
    if 'rest' in q:
        duckdb(dict(q, types={'c': 'number'}, filter='false'), '(SELECT 1 AS c)')
        duck.execute('DETACH DATABASE IF EXISTS tarn')
        duck.execute(f"ATTACH 'tarn' AS tarn (TYPE iceberg, ENDPOINT '{q['rest']}', AUTHORIZATION_TYPE 'none')")
        ns, name = q['path'].split('/')[-2:]
        return duckdb(q, f'tarn.{ns}."{name}"')
    at = f", snapshot_from_id = {q['snapshot']}" if 'snapshot' in q else ''
    return duckdb(q, f"iceberg_scan('{q['path']}'{at})")


def duck_delta(q):
    return duckdb(q, f"delta_scan('file://{q['path']}')")


spark = None


def spark_frame(q, table):
    """Spark's rows in the form of the others."""
    have = [n for n in q['types'] if n in table.columns]
    if 'filter' in q:
        table = table.where(q['filter'])
    return have, [[plain(v) for v in r] for r in table.select(*have).collect()]


def spark_session():
    global spark
    if spark is None:
        os.environ.update(TZ='UTC', SPARK_LOCAL_IP='127.0.0.1')
        time.tzset()
        from pyspark.sql import SparkSession
        jars = ','.join(glob.glob(os.path.join(sys.prefix, 'jars/*.jar')))
        spark = (SparkSession.builder.master('local[1]').config('spark.jars', jars).config('spark.ui.enabled', 'false')
                 .config('spark.sql.session.timeZone', 'UTC').config('spark.sql.shuffle.partitions', '1').config('spark.driver.memory', '1g')
                 .config('spark.sql.extensions', 'io.delta.sql.DeltaSparkSessionExtension,org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions')
                 .config('spark.sql.catalog.spark_catalog', 'org.apache.spark.sql.delta.catalog.DeltaCatalog').getOrCreate())
        spark.sparkContext.setLogLevel('OFF')
    return spark


def spark_iceberg(q):
    s = spark_session()
    if 'rest' in q:
        name = 'tarn_' + ''.join(c if c.isalnum() else '_' for c in q['rest'])
        for k, v in {'': 'org.apache.iceberg.spark.SparkCatalog', '.type': 'rest', '.uri': q['rest'], '.warehouse': 'disk', '.cache-enabled': 'false',
                     '.io-impl': 'org.apache.iceberg.hadoop.HadoopFileIO'}.items():
            s.conf.set(f'spark.sql.catalog.{name}{k}', v)
        ns, table = q['path'].split('/')[-2:]
        return spark_frame(q, s.table(f'{name}.{ns}.`{table}`'))
    r = s.read.format('iceberg')
    if 'snapshot' in q:
        r = r.option('snapshot-id', q['snapshot'])
    return spark_frame(q, r.load(q['path']))


def spark_delta(q):
    s = spark_session()
    s._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()
    r = s.read.format('delta')
    if 'snapshot' in q:
        r = r.option('versionAsOf', q['snapshot'])
    return spark_frame(q, r.load(q['path']))


readers = {'pyarrow': pyarrow_files, 'pyiceberg': pyiceberg, 'deltalake': deltalake, 'duckdb-iceberg': duck_iceberg, 'duckdb-delta': duck_delta,
           'spark-iceberg': spark_iceberg, 'spark-delta': spark_delta}
for line in sys.stdin:
    try:
        q = json.loads(line)
        names, rows = readers[q['reader']](q)
        out = {'names': names, 'rows': rows}
    except Exception as e:  # The test says what was asked.
        out = {'error': f'{type(e).__name__}: {e}'[:2000]}
    print(json.dumps(out), flush=True)
