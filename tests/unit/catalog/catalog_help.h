/* What the tests of the catalog share: a folder of their own, random numbers,
 * publications made of numbers. */
#ifndef TN_CATALOG_HELP_H
#define TN_CATALOG_HELP_H

#include <sqlite3.h>

#include "catalog/catalog.h"
#include "folder.h"

static const char *
db_path(const char *dir)
{
	static char path[300];

	snprintf(path, sizeof path, "%s/catalog.db", dir);
	return path;
}

UNUSED static struct tn_catalog *
open_catalog(const char *dir)
{
	struct tn_catalog *c = NULL;
	struct tn_diag d = { .message = "" };
	enum tn_status st = tn_catalog_open(&c, db_path(dir), &d);

	if (st != TN_OK)
		print_message("%s\n", d.message);
	assert_int_equal(st, TN_OK);
	return c;
}

UNUSED static void
run_sql(const char *dir, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(db_path(dir), &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* A file whose every number comes from ${n}. */
UNUSED static struct tn_catalog_file
make_file(uint32_t n)
{
	struct tn_catalog_file f = {
		.tier = (enum tn_catalog_tier)(1 + n % 4),
		.object = 1 + n % 3,
		.version = n,
		.rows = n * UINT64_C(1000000007),
		.bytes = n + 1,
		.crc = 0xffffffffu - n,
		.time_min = -(int64_t)n,
		.time_max = (int64_t)n << 40,
		.lsn_min = n,
		.lsn_max = n + 5,
	};

	snprintf(f.partition, sizeof f.partition, "2026-03-%02u", n % 28 + 1);
	snprintf(f.path, sizeof f.path, "silver/t/%u.parquet", n);
	return f;
}

UNUSED static enum tn_status
publish_one(struct tn_catalog *c, uint32_t n, uint64_t drop, uint64_t *id)
{
	struct tn_catalog_file f = make_file(n);
	struct tn_catalog_offset o = { .stream = 7, .next = n };
	struct tn_catalog_correction x = { .view = 7, .time_us = n,
	    .key = "{}", .column = "n", .before = "1", .after = "2" };
	struct tn_catalog_publication p = { .lsn = n, .now_us = n * 10,
	    .add = &f, .add_count = 1, .drop = &drop,
	    .drop_count = drop != 0, .offsets = &o, .offset_count = 1,
	    .corrections = &x, .correction_count = 1 };
	enum tn_status st = tn_catalog_publish(c, &p);

	*id = f.id;
	return st;
}

/* A catalog.db as the first release made it: every table of its schema, one
 * run that is done, one file. Never changed. */
UNUSED static const char first_schema[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
    "CREATE TABLE object (id INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"
    " name TEXT NOT NULL, version INTEGER NOT NULL, comment TEXT,"
    " UNIQUE (kind, name));"
    "CREATE TABLE definition (object INTEGER NOT NULL REFERENCES object(id),"
    " version INTEGER NOT NULL, text TEXT NOT NULL,"
    " PRIMARY KEY (object, version));"
    "CREATE TABLE file (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " tier INTEGER NOT NULL, object INTEGER NOT NULL,"
    " version INTEGER NOT NULL, partition TEXT NOT NULL,"
    " path TEXT NOT NULL UNIQUE, rows INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL, crc INTEGER NOT NULL,"
    " time_min INTEGER NOT NULL, time_max INTEGER NOT NULL,"
    " lsn_min INTEGER NOT NULL, lsn_max INTEGER NOT NULL,"
    " added INTEGER NOT NULL, dropped INTEGER, dropped_us INTEGER);"
    "CREATE INDEX file_visible ON file (tier, object, partition, lsn_min)"
    " WHERE dropped IS NULL;"
    "CREATE TABLE cut (sequence INTEGER PRIMARY KEY, lsn INTEGER NOT NULL,"
    " published_us INTEGER NOT NULL);"
    "CREATE TABLE stream_offset (stream INTEGER PRIMARY KEY,"
    " next INTEGER NOT NULL);"
    "CREATE TABLE run (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " kind TEXT NOT NULL, reason TEXT NOT NULL, object TEXT NOT NULL,"
    " state INTEGER NOT NULL, started_us INTEGER NOT NULL,"
    " ended_us INTEGER NOT NULL, lsn_from INTEGER NOT NULL,"
    " lsn_to INTEGER NOT NULL, rows INTEGER NOT NULL,"
    " files INTEGER NOT NULL, detail TEXT NOT NULL);"
    "CREATE TABLE token (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    " name TEXT NOT NULL, scope TEXT NOT NULL, hash TEXT NOT NULL,"
    " created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,"
    " used_us INTEGER NOT NULL);"
    "CREATE TABLE value (key TEXT PRIMARY KEY, text TEXT NOT NULL);"
    "CREATE TABLE unknown_field (stream INTEGER NOT NULL,"
    " field TEXT NOT NULL, seen_us INTEGER NOT NULL,"
    " PRIMARY KEY (stream, field));"
    "INSERT INTO run VALUES (4, 'cut', 'timer', '', 1, 10, 20, 0, 3, 50, 1,"
    " 'done');"
    "INSERT INTO cut VALUES (1, 3, 20);"
    "INSERT INTO file VALUES (1, 2, 1, 1, 'all', 'silver/t/a.parquet', 50,"
    " 9, 1, 0, 0, 1, 3, 1, NULL, NULL);"
    "PRAGMA user_version = 1;";

#endif
