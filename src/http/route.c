/* The one table of routes. From it come dispatch, 405 with Allow, the scope
 * that a caller needs (so that no route can be without one) and
 * /api/openapi.json. The route that takes the most requests stands first.
 *
 * A pattern has at most two {}. The first is a whole segment; it never matches
 * an empty segment or one with a slash in it. A second one ends the pattern
 * and takes all that is left, slashes too; the route then gets both as one
 * text with what stands between them. */
#include "http/http_int.h"

#include <string.h>

#define VIEW_PARAMS "layer,format,limit,order,from,to,as_of"
#define LOAD_PARAMS "format,delimiter,header,null,columns,time_format," \
	"time_zone,rename,constant"

const struct tn_http_route tn_http_routes[] = {
	{ TN_HTTP_POST, "/api/v1/streams/{stream}", TN_NEED_INGEST,
	    TN_BODY_INGEST, tn_http_run_ingest,
	    "Take events (JSON, NDJSON or CSV; gzip and zstd); the answer "
	    "comes after they are on disk.", LOAD_PARAMS },
	{ TN_HTTP_GET, "/api/v1/views/{view}", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_view, "Rows of a view; other parameters filter its "
	    "columns.", VIEW_PARAMS },
	{ TN_HTTP_POST, "/api/v1/sql", TN_NEED_READ, TN_BODY_COLLECT,
	    tn_http_run_sql, "Run one SELECT over streams and views "
	    "(also as they were: FROM as_of('name', lsn or time)), or one "
	    "CALL of a procedure, COPY, or DELETE of a stream's rows (admin).",
	    "format,layer" },
	{ TN_HTTP_GET, "/api/v1/status", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_status, "The state of the whole program.", NULL },
	{ TN_HTTP_GET, "/api/v1/live", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_live, "Server-sent events of many views and of the "
	    "status.", "view,status,limit" },
	{ TN_HTTP_GET, "/api/v1/views/{view}/live", TN_NEED_READ,
	    TN_BODY_NONE, tn_http_run_view_live, "Server-sent events of one "
	    "view: a snapshot, then changed rows.", "limit,order,from,to" },
	{ TN_HTTP_GET, "/api/v1/views/{view}/corrections", TN_NEED_READ,
	    TN_BODY_NONE, tn_http_run_corrections, "Published numbers of a "
	    "view that a batch run changed, newest first; from and to are "
	    "on its time bucket.", "from,to,limit" },
	{ TN_HTTP_GET, "/api/v1/views/{view}/explain", TN_NEED_READ,
	    TN_BODY_NONE, tn_http_run_explain, "Why this number: the row in "
	    "each layer, its gold files, the rows it counts with their raw "
	    "bytes.", "limit,from,to,as_of" },
	{ TN_HTTP_GET, "/api/v1/lake", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_storage, "What the lake holds in each tier, what it "
	    "costs a day, how long the disk lasts; partitions of one table.",
	    "table" },
	{ TN_HTTP_GET, "/api/v1/views", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_views, "All views.", NULL },
	{ TN_HTTP_GET, "/api/v1/streams", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_streams, "All streams and reference tables.", NULL },
	{ TN_HTTP_GET, "/api/v1/streams/{stream}", TN_NEED_READ,
	    TN_BODY_NONE, tn_http_run_stream, "One stream.", NULL },
	{ TN_HTTP_GET, "/api/v1/streams/{stream}/recent", TN_NEED_READ,
	    TN_BODY_NONE, tn_http_run_recent, "The newest rows of a stream "
	    "and what became of them.", "limit" },
	{ TN_HTTP_GET, "/api/v1/quarantine/{stream}", TN_NEED_READ,
	    TN_BODY_NONE, tn_http_run_quarantine, "Rows that failed a check "
	    "and were not taken since, newest first, with their raw bytes.",
	    "limit,before" },
	{ TN_HTTP_GET, "/api/v1/runs", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_runs, "Batch runs, newest first; "
	    "changed: published rows that the run changed; with views=true "
	    "what it made of each view, as view_columns say.",
	    "limit,before,views" },
	{ TN_HTTP_GET, "/api/v1/files", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_files, "Files of the lake at the present cut; "
	    "snapshot: the first that has it; sort_by: its rows ascend by.",
	    "tier,table" },
	{ TN_HTTP_GET, "/api/v1/snapshots", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_snapshots, "Snapshots that can be read (and rolled "
	    "back to), newest first.", "limit,before" },
	{ TN_HTTP_GET, "/lake/{tier}/{path}", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_lake, "A file of the lake, or of the Iceberg or "
	    "Delta metadata of its tables; Range, If-Range and If-None-Match "
	    "are honoured.", NULL },
	{ TN_HTTP_GET, "/iceberg/v1/config", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_iceberg_config, "Iceberg REST catalog (read only): "
	    "its configuration.", "warehouse" },
	{ TN_HTTP_GET, "/iceberg/v1/namespaces", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_iceberg_namespaces, "Iceberg: bronze, silver, gold.",
	    "parent,pageToken,pageSize" },
	{ TN_HTTP_GET, "/iceberg/v1/namespaces/{namespace}/tables",
	    TN_NEED_READ, TN_BODY_NONE, tn_http_run_iceberg_tables,
	    "Iceberg: tables of a namespace.", "pageToken,pageSize" },
	{ TN_HTTP_GET, "/iceberg/v1/namespaces/{namespace}", TN_NEED_READ,
	    TN_BODY_NONE, tn_http_run_iceberg_namespace,
	    "Iceberg: one namespace.", NULL },
	{ TN_HTTP_GET, "/iceberg/v1/namespaces/{namespace}/tables/{table}",
	    TN_NEED_READ, TN_BODY_NONE, tn_http_run_iceberg_table,
	    "Iceberg: load a table, its newest metadata with locations under "
	    "/lake.", "snapshots" },
	{ TN_HTTP_GET, "/iceberg/v1/disk/namespaces", TN_NEED_READ,
	    TN_BODY_NONE, tn_http_run_iceberg_namespaces, "Iceberg: the same "
	    "catalog with locations on this machine's disk (warehouse=disk).",
	    "parent,pageToken,pageSize" },
	{ TN_HTTP_GET, "/iceberg/v1/disk/namespaces/{namespace}/tables",
	    TN_NEED_READ, TN_BODY_NONE, tn_http_run_iceberg_tables,
	    "Iceberg: tables of a namespace.", "pageToken,pageSize" },
	{ TN_HTTP_GET, "/iceberg/v1/disk/namespaces/{namespace}",
	    TN_NEED_READ, TN_BODY_NONE, tn_http_run_iceberg_namespace,
	    "Iceberg: one namespace.", NULL },
	{ TN_HTTP_GET, "/iceberg/v1/disk/namespaces/{namespace}/tables/"
	    "{table}", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_iceberg_disk_table, "Iceberg: load a table, located "
	    "on disk.", "snapshots" },
	{ TN_HTTP_POST, "/api/v1/batch/run", TN_NEED_ADMIN, TN_BODY_DROP,
	    tn_http_run_cut, "Cut and publish now; answers when it is "
	    "published.", NULL },
	{ TN_HTTP_POST, "/api/v1/recompute", TN_NEED_ADMIN, TN_BODY_DROP,
	    tn_http_run_recompute, "Compute a view again from silver, or the "
	    "time buckets of a range; dry_run only says what would be read.",
	    "view,from,to,dry_run" },
	{ TN_HTTP_POST, "/api/v1/verify", TN_NEED_ADMIN, TN_BODY_DROP,
	    tn_http_run_verify, "Check every file and the chain of bronze; "
	    "derive views again from bronze and compare. sample=0.1: a share "
	    "of the files and of a view's days, chosen by seed; details: a "
	    "line for every time bucket; details=folded: for each run of equal "
	    "ones.", "view,sample,seed,details" },
	{ TN_HTTP_POST, "/api/v1/plan", TN_NEED_ADMIN, TN_BODY_COLLECT,
	    tn_http_run_plan, "What the server's configuration folder, or "
	    "{\"files\":[{\"name\":..,\"text\":..}]}, would change of what "
	    "runs, and what that costs.", NULL },
	{ TN_HTTP_POST, "/api/v1/apply", TN_NEED_ADMIN, TN_BODY_COLLECT,
	    tn_http_run_apply, "Read the server's configuration folder and "
	    "take over new, changed and dropped views: built beside the old, "
	    "compared with the raw bytes, swapped at once.", NULL },
	{ TN_HTTP_GET, "/api/v1/mqtt", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_mqtt, "The MQTT broker: its port, clients, and "
	    "topics that no stream takes.", NULL },
	{ TN_HTTP_GET, "/api/v1/inbox", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_inbox, "The drop folder: files on their way, and "
	    "what became of the last ones.", NULL },
	{ TN_HTTP_GET, "/api/v1/objects", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_buckets, "Buckets of objects.", NULL },
	{ TN_HTTP_GET, "/api/v1/objects/{bucket}", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_objects, "Objects of a bucket in order of their "
	    "keys; next is the after= of the next page.",
	    "prefix,after,limit" },
	{ TN_HTTP_GET, "/api/v1/objects/by-hash/{sha256}", TN_NEED_READ,
	    TN_BODY_NONE, tn_http_run_content, "The content of that SHA-256, "
	    "under whatever name.", NULL },
	{ TN_HTTP_GET, "/api/v1/objects/{bucket}/{key}", TN_NEED_READ,
	    TN_BODY_NONE, tn_http_run_object, "An object; Range, If-Range, "
	    "If-None-Match and If-Match are honoured.", NULL },
	{ TN_HTTP_PUT, "/api/v1/objects/{bucket}/{key}", TN_NEED_INGEST,
	    TN_BODY_OBJECT, tn_http_run_object_put, "Store a file under a "
	    "name; 201 when there was none. Other content under a taken "
	    "name is for the scope admin. Headers: Content-Type, "
	    "x-tarn-meta-NAME, x-tarn-sha256, Content-MD5, If-Match, "
	    "If-None-Match: *.", NULL },
	{ TN_HTTP_DELETE, "/api/v1/objects/{bucket}/{key}", TN_NEED_ADMIN,
	    TN_BODY_DROP, tn_http_run_object_gone, "Take a name away; its "
	    "content stays for snapshot_keep, with erase=1 not, unless "
	    "another name has it.", "erase" },
	{ TN_HTTP_GET, "/mqtt", TN_NEED_FREE, TN_BODY_NONE,
	    tn_http_run_mqtt_socket, "MQTT over WebSocket (subprotocol mqtt); "
	    "without Upgrade a page.", NULL },
	{ TN_HTTP_GET, "/api/v1/tokens", TN_NEED_ADMIN, TN_BODY_NONE,
	    tn_http_run_tokens, "API tokens, without their secrets.", NULL },
	{ TN_HTTP_POST, "/api/v1/tokens", TN_NEED_ADMIN, TN_BODY_COLLECT,
	    tn_http_run_token_new, "Make an API token; it is shown once.",
	    NULL },
	{ TN_HTTP_DELETE, "/api/v1/tokens/{id}", TN_NEED_ADMIN, TN_BODY_DROP,
	    tn_http_run_token_gone, "Revoke an API token.", NULL },
	{ TN_HTTP_POST, "/api/v1/login", TN_NEED_FREE, TN_BODY_COLLECT,
	    tn_http_run_login, "Exchange the password for a session cookie.",
	    NULL },
	{ TN_HTTP_POST, "/api/v1/logout", TN_NEED_FREE, TN_BODY_DROP,
	    tn_http_run_logout, "End the session.", NULL },
	{ TN_HTTP_POST, "/api/v1/setup", TN_NEED_FREE, TN_BODY_COLLECT,
	    tn_http_run_setup, "Set the first password with the one-time "
	    "code.", NULL },
	{ TN_HTTP_GET, "/api/v1/session", TN_NEED_FREE, TN_BODY_NONE,
	    tn_http_run_session, "What this caller may do.", NULL },
	{ TN_HTTP_GET, "/api/v1/settings", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_settings, "All settings and their defaults.", NULL },
	{ TN_HTTP_GET, "/api/v1/schedule", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_schedule, "What comes when: its setting and the next "
	    "five times; with name and value as if it were so. ALTER SYSTEM "
	    "SET (POST /api/v1/sql) changes it.", "name,value" },
	{ TN_HTTP_GET, "/livez", TN_NEED_FREE, TN_BODY_NONE,
	    tn_http_run_livez, "200 while the process answers.", NULL },
	{ TN_HTTP_GET, "/readyz", TN_NEED_FREE, TN_BODY_NONE,
	    tn_http_run_readyz, "200 when events are taken; 503 while "
	    "starting, stopping, when the log refuses or memory or the "
	    "disk is full for memory_full_max.", "verbose" },
	{ TN_HTTP_GET, "/healthz", TN_NEED_FREE, TN_BODY_NONE,
	    tn_http_run_readyz, "The same as /readyz.", "verbose" },
	{ TN_HTTP_GET, "/metrics", TN_NEED_READ, TN_BODY_NONE,
	    tn_http_run_metrics, "OpenMetrics text.", NULL },
	{ TN_HTTP_GET, "/api/openapi.json", TN_NEED_FREE, TN_BODY_NONE,
	    tn_http_run_openapi, "This description.", NULL },
	{ TN_HTTP_GET, "/docs", TN_NEED_FREE, TN_BODY_NONE,
	    tn_http_run_docs, "Where the description is.", NULL },
};
const uint32_t tn_http_route_count = TN_COUNT(tn_http_routes);

static const char *const method_names[] = { "GET", "POST", "DELETE", "PUT",
    "HEAD", "OPTIONS", "" };

enum tn_http_method
tn_http_method_of(const char *name)
{
	for (int i = 0; i < TN_HTTP_OTHER; i++)
		if (strcmp(name, method_names[i]) == 0)
			return (enum tn_http_method)i;
	return TN_HTTP_OTHER;
}

const char *
tn_http_method_name(enum tn_http_method m)
{
	return method_names[m];
}

/* What stands between two {}, and then something. */
static bool
goes_on(struct tn_slice rest, const char *between, const char *second)
{
	size_t n = (size_t)(second - between);

	return rest.n > n && memcmp(rest.p, between, n) == 0;
}

static bool
matches(const char *pattern, struct tn_slice path, struct tn_slice *var)
{
	const char *open = strchr(pattern, '{');
	const char *second = open != NULL ? strchr(open + 1, '{') : NULL;
	const uint8_t *slash;
	struct tn_slice rest;
	size_t head;

	*var = (struct tn_slice){ NULL, 0 };
	if (open == NULL)
		return tn_slice_is(path, pattern);
	head = (size_t)(open - pattern);
	if (path.n <= head || memcmp(path.p, pattern, head) != 0)
		return false;
	*var = (struct tn_slice){ path.p + head, path.n - head };
	slash = memchr(var->p, '/', var->n);
	if (second != NULL)
		return slash != NULL && slash > var->p && goes_on(
		    (struct tn_slice){ slash, (size_t)(var->p + var->n -
		    slash) }, strchr(open, '}') + 1, second);
	if (slash != NULL)
		var->n = (size_t)(slash - var->p);
	rest = (struct tn_slice){ var->p + var->n,
	    path.n - head - var->n };
	return var->n > 0 && tn_slice_is(rest, strchr(open, '}') + 1);
}

const struct tn_http_route *
tn_http_route_find(enum tn_http_method m, struct tn_slice path,
    struct tn_slice *var, uint32_t *others)
{
	enum tn_http_method as = m == TN_HTTP_HEAD ? TN_HTTP_GET : m;

	*others = 0;
	for (uint32_t i = 0; i < tn_http_route_count; i++) {
		const struct tn_http_route *r = &tn_http_routes[i];
		if (!matches(r->path, path, var))
			continue;
		if (r->method == as)
			return r;
		*others |= 1u << r->method;
	}
	*var = (struct tn_slice){ NULL, 0 };
	return NULL;
}

void
tn_http_route_allow(uint32_t methods, char out[static 64])
{
	bool first = true;

	if (methods & 1u << TN_HTTP_GET)
		methods |= 1u << TN_HTTP_HEAD;
	methods |= 1u << TN_HTTP_OPTIONS;
	out[0] = '\0';
	for (int i = 0; i < TN_HTTP_OTHER; i++) {
		if ((methods & 1u << i) == 0)
			continue;
		if (!first)
			strcat(out, ", ");
		strcat(out, method_names[i]);
		first = false;
	}
	tn_assert(strlen(out) < 64);
}

/* ---- /api/openapi.json ----------------------------------------------- */

static const char *const need_names[] = { "free", "ingest", "read",
    "admin" };

static void
put_param(struct tn_buf *out, const char *name, size_t n, const char *in,
    bool *first)
{
	tn_buf_printf(out, "%s{\"name\":\"%.*s\",\"in\":\"%s\","
	    "\"required\":%s,\"schema\":{\"type\":\"string\"}}",
	    *first ? "" : ",", (int)n, name, in,
	    in[0] == 'p' ? "true" : "false");
	*first = false;
}

static void
put_params(struct tn_buf *out, const struct tn_http_route *r)
{
	const char *open = strchr(r->path, '{'), *p = r->params;
	bool first = true;

	tn_buf_str(out, ",\"parameters\":[");
	for (; open != NULL; open = strchr(open + 1, '{'))
		put_param(out, open + 1, strcspn(open + 1, "}"), "path",
		    &first);
	while (p != NULL && *p != '\0') {
		size_t n = strcspn(p, ",");
		put_param(out, p, n, "query", &first);
		p += n + (p[n] == ',');
	}
	tn_buf_char(out, ']');
}

static void
put_body(struct tn_buf *out, const struct tn_http_route *r)
{
	if (r->body == TN_BODY_INGEST)
		tn_buf_str(out, ",\"requestBody\":{\"required\":true,"
		    "\"content\":{\"application/json\":{},"
		    "\"application/x-ndjson\":{},\"text/csv\":{}}}");
	else if (r->body == TN_BODY_OBJECT)
		tn_buf_str(out, ",\"requestBody\":{\"required\":true,"
		    "\"content\":{\"*/*\":{}}}");
	else if (r->run == tn_http_run_sql)
		tn_buf_str(out, ",\"requestBody\":{\"required\":true,"
		    "\"content\":{\"text/plain\":{},"
		    "\"application/json\":{}}}");
	else if (r->body == TN_BODY_COLLECT)
		tn_buf_str(out, ",\"requestBody\":{\"required\":true,"
		    "\"content\":{\"application/json\":{}}}");
}

static void
put_operation(struct tn_buf *out, const struct tn_http_route *r)
{
	static const char *const verbs[] = { "get", "post", "delete",
	    "put" };

	tn_buf_printf(out, "\"%s\":{\"summary\":", verbs[r->method]);
	tn_http_put_str(out, r->doc);
	put_params(out, r);
	put_body(out, r);
	tn_buf_printf(out, ",\"x-tarn-scope\":\"%s\"", need_names[r->need]);
	if (r->need != TN_NEED_FREE)
		tn_buf_str(out, ",\"security\":[{\"bearer\":[]},"
		    "{\"session\":[]},{}]");
	tn_buf_str(out, ",\"responses\":{\"200\":{\"description\":\"Done.\"},"
	    "\"default\":{\"description\":\"A problem (RFC 9457).\","
	    "\"content\":{\"application/problem+json\":{\"schema\":"
	    "{\"$ref\":\"#/components/schemas/Problem\"}}}}}}");
}

/* True when a route before this one has the same path. */
static bool
path_seen(uint32_t i)
{
	for (uint32_t k = 0; k < i; k++)
		if (strcmp(tn_http_routes[k].path, tn_http_routes[i].path)
		    == 0)
			return true;
	return false;
}

void
tn_http_openapi(struct tn_buf *out)
{
	bool first = true;

	tn_buf_str(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"Tarn\","
	    "\"version\":\"" TN_VERSION "\"},\"paths\":{");
	for (uint32_t i = 0; i < tn_http_route_count; i++) {
		bool more = false;
		if (path_seen(i))
			continue;
		tn_buf_printf(out, "%s\"%s\":{", first ? "" : ",",
		    tn_http_routes[i].path);
		first = false;
		for (uint32_t k = i; k < tn_http_route_count; k++) {
			if (strcmp(tn_http_routes[k].path,
			    tn_http_routes[i].path) != 0)
				continue;
			if (more)
				tn_buf_char(out, ',');
			more = true;
			put_operation(out, &tn_http_routes[k]);
		}
		tn_buf_char(out, '}');
	}
	tn_buf_str(out, "},\"components\":{\"securitySchemes\":{\"bearer\":"
	    "{\"type\":\"http\",\"scheme\":\"bearer\"},\"session\":{\"type\":"
	    "\"apiKey\",\"in\":\"cookie\",\"name\":\"tarn_session\"}},"
	    "\"schemas\":{\"Problem\":{\"type\":\"object\",\"properties\":{"
	    "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
	    "\"status\":{\"type\":\"integer\"},"
	    "\"detail\":{\"type\":\"string\"},"
	    "\"hint\":{\"type\":\"string\"}}}}}}");
}
