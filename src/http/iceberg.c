/* The Iceberg REST catalog, read only, by its OpenAPI description (version
 * 1.9): what pyiceberg, Spark, Trino and DuckDB ask to find and load a table.
 *
 *   config -> namespaces -> tables -> load a table: its newest metadata, in
 *   which every location is one under /lake
 *
 * Errors have the form of that description, not RFC 9457. There are three
 * namespaces, the tiers. The warehouse "disk" has locations on the disk of this
 * machine instead, for readers here that take no http (pyiceberg). Lists are
 * short enough for one page: a pageToken is
 * taken and there is never a next one. Tables that had no cut yet are not
 * listed. What has no route (create, commit, drop, views) is 404 or 405, and
 * then a problem as everywhere. */
#include "http/http_int.h"

#include <stdio.h>
#include <string.h>

static const char *const tiers[] = { "bronze", "silver", "gold" };

static void
fail(struct request *r, uint32_t code, const char *type,
    const char *message)
{
	tn_buf_clear(&r->out);
	tn_buf_str(&r->out, "{\"error\":{\"message\":");
	tn_http_put_str(&r->out, message);
	tn_buf_printf(&r->out, ",\"type\":\"%s\",\"code\":%u}}", type,
	    (unsigned)code);
	tn_http_json(r, code);
}

/* HEAD asks whether something is there: 204 says yes. */
static void
say(struct request *r)
{
	if (r->method == TN_HTTP_HEAD)
		tn_http_say(r, 204, NULL);
	else
		tn_http_json(r, 200);
}

static const char *
tier_of(struct tn_slice s)
{
	for (size_t i = 0; i < TN_COUNT(tiers); i++)
		if (tn_slice_is(s, tiers[i]))
			return tiers[i];
	return NULL;
}

static const char *
wanted_tier(struct request *r, struct tn_slice s)
{
	const char *tier = tier_of(s);

	if (tier == NULL)
		fail(r, 404, "NoSuchNamespaceException",
		    "the namespaces are bronze, silver and gold");
	return tier;
}

void
tn_http_run_iceberg_config(struct request *r)
{
	struct tn_slice warehouse = tn_http_param(r, "warehouse");

	tn_buf_printf(&r->out, "{\"defaults\":{},\"overrides\":{%s},",
	    tn_slice_is(warehouse, "disk") ? "\"prefix\":\"disk\"" : "");
	tn_buf_str(&r->out,
	    "\"endpoints\":[\"GET /v1/{prefix}/namespaces\","
	    "\"GET /v1/{prefix}/namespaces/{namespace}\","
	    "\"HEAD /v1/{prefix}/namespaces/{namespace}\","
	    "\"GET /v1/{prefix}/namespaces/{namespace}/tables\","
	    "\"GET /v1/{prefix}/namespaces/{namespace}/tables/{table}\","
	    "\"HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}\"]}");
	tn_http_json(r, 200);
	tn_http_ready(r);
}

void
tn_http_run_iceberg_namespaces(struct request *r)
{
	struct tn_slice parent = tn_http_param(r, "parent");

	if (parent.n == 0) {
		tn_buf_str(&r->out, "{\"namespaces\":[[\"bronze\"],"
		    "[\"silver\"],[\"gold\"]],\"next-page-token\":null}");
		tn_http_json(r, 200);
	} else if (wanted_tier(r, parent) != NULL) {
		tn_buf_str(&r->out, "{\"namespaces\":[],"
		    "\"next-page-token\":null}");
		tn_http_json(r, 200);
	}
	tn_http_ready(r);
}

void
tn_http_run_iceberg_namespace(struct request *r)
{
	const char *tier = wanted_tier(r, r->var);

	if (tier != NULL) {
		tn_buf_printf(&r->out, "{\"namespace\":[\"%s\"],"
		    "\"properties\":{}}", tier);
		say(r);
	}
	tn_http_ready(r);
}

/* ---- tables ---------------------------------------------------------- */

static void
tables_work(struct request *r)
{
	char **names = NULL;
	size_t count = 0;
	enum tn_status st = tn_lake_table_names(r->h->o.lake, r->text,
	    &names, &count);

	tn_buf_str(&r->out, "{\"identifiers\":[");
	for (size_t i = 0; i < count; i++) {
		tn_buf_printf(&r->out, "%s{\"namespace\":[\"%s\"],\"name\":",
		    i > 0 ? "," : "", r->text);
		tn_http_put_str(&r->out, names[i]);
		tn_buf_char(&r->out, '}');
		tn_free(names[i]);
	}
	tn_free(names);
	tn_buf_str(&r->out, "],\"next-page-token\":null}");
	if (st == TN_OK)
		tn_http_json(r, 200);
	else
		fail(r, 500, "InternalServerError", tn_status_text(st));
}

void
tn_http_run_iceberg_tables(struct request *r)
{
	r->text = wanted_tier(r, r->var);
	if (r->text != NULL)
		tn_http_work(r, tables_work);
	else
		tn_http_ready(r);
}

/* text: the tier, text2: the table, code_text: how /lake is reached; NULL: on
 * disk. */
static void
load_work(struct request *r)
{
	struct tn_buf metadata = { 0 };
	char path[200];
	enum tn_status st = tn_lake_table_newest(r->h->o.lake, r->text,
	    r->text2, path);

	if (st == TN_OK)
		st = tn_lake_metadata(r->h->o.lake, path, r->code_text,
		    &metadata);
	if (r->code_text == NULL) {
		char *root = tn_lake_location(r->h->o.lake);
		r->code_text = tn_arena_strdup(tn_http_arena(r), root);
		tn_free(root);
	}
	if (st == TN_ENOTFOUND) {
		fail(r, 404, "NoSuchTableException", "there is no such "
		    "table, or it had no cut yet");
	} else if (st != TN_OK) {
		fail(r, 500, "InternalServerError", tn_status_text(st));
	} else {
		tn_buf_str(&r->out, "{\"metadata-location\":");
		tn_http_put_str(&r->out, tn_arena_printf(tn_http_arena(r),
		    "%s/%s", r->code_text, path));
		tn_buf_str(&r->out, ",\"metadata\":");
		tn_buf_add(&r->out, metadata.p, metadata.n);
		tn_buf_str(&r->out, ",\"config\":{}}");
		say(r);
	}
	tn_buf_fini(&metadata);
}

/* The route gives "silver/tables/badge". False: the answer stands. */
static bool
find_table(struct request *r)
{
	static const char word[] = "/tables/";
	const uint8_t *slash = memchr(r->var.p, '/', r->var.n);
	struct tn_slice tier, name;

	tn_assert(slash != NULL);
	tier = (struct tn_slice){ r->var.p, (size_t)(slash - r->var.p) };
	name = (struct tn_slice){ slash, r->var.n - tier.n };
	tn_assert(name.n >= sizeof word &&
	    memcmp(name.p, word, sizeof word - 1) == 0);
	r->text = wanted_tier(r, tier);
	if (r->text == NULL)
		return false;
	r->text2 = tn_arena_strndup(tn_http_arena(r), (const char *)name.p +
	    sizeof word - 1, name.n - (sizeof word - 1));
	return true;
}

void
tn_http_run_iceberg_table(struct request *r)
{
	if (find_table(r))
		r->code_text = tn_http_lake_base(r);
	if (r->code_text != NULL)
		tn_http_work(r, load_work);
	else
		tn_http_ready(r);
}

void
tn_http_run_iceberg_disk_table(struct request *r)
{
	if (find_table(r))
		tn_http_work(r, load_work);
	else
		tn_http_ready(r);
}
