/* tarn doctor: what a person would look at when something is odd. Each line
 * is ok, warn or fail with what to do; exit 1 when one fails. Works beside a
 * running tarn: it opens nothing for writing but one probe file. */
#include "app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "os/os.h"

#define SYNCS 20
#define MEDIAN 10
#define WARN_FREE (UINT64_C(1) << 30)
#define FAIL_FREE (UINT64_C(100) << 20)
#define WARN_DAYS 14

static int
say(int rank, const char *what, const char *words)
{
	static const char *const marks[] = { "ok", "warn", "fail" };

	printf(" %-5s %-10s %s\n", marks[rank], what, words);
	return rank;
}

static int
compare_us(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Time of a small synced write in the data folder. */
static enum tn_status
probe_sync(const char *path, int64_t us[SYNCS])
{
	struct tn_os_file *f = NULL;
	enum tn_status st = tn_os_open(&f, path, TN_OS_REPLACE);

	for (int i = 0; st == TN_OK && i < SYNCS; i++) {
		int64_t begun = tn_os_mono_us();
		st = tn_os_write(f, "0123456789abcdef", 16);
		if (st == TN_OK)
			st = tn_os_sync(f);
		us[i] = tn_os_mono_us() - begun;
	}
	tn_os_close(f);
	if (st == TN_OK)
		st = tn_os_unlink(path);
	return st;
}

static int
look_at_disk(const struct tn_app_args *a)
{
	int64_t us[SYNCS];
	uint64_t free_bytes = 0;
	char path[600], words[400];
	enum tn_status st = tn_os_mkdirs(a->data);

	snprintf(path, sizeof path, "%s/doctor-probe.tmp", a->data);
	if (st == TN_OK)
		st = probe_sync(path, us);
	if (st == TN_OK)
		st = tn_os_disk_free(a->data, &free_bytes);
	if (st != TN_OK) {
		snprintf(words, sizeof words, "%s cannot be written: %s; name "
		    "another with --data", a->data, tn_status_text(st));
		return say(2, "data dir", words);
	}
	qsort(us, SYNCS, sizeof *us, compare_us);
	snprintf(words, sizeof words, "%s, %.1f GiB free, sync %.2f ms "
	    "median, %.2f ms worst of %d", a->data,
	    (double)free_bytes / (1 << 30), (double)us[MEDIAN] / 1000,
	    (double)us[SYNCS - 1] / 1000, SYNCS);
	return say(free_bytes < FAIL_FREE ? 2 : free_bytes < WARN_FREE ||
	    us[MEDIAN] > 50000 ? 1 : 0, "data dir", words);
}

static int
look_at_config(const struct tn_app_args *a)
{
	struct tn_sql_pipeline *p = NULL;
	struct tn_diag d = { .line = 0 };
	char words[900];
	enum tn_status st;

	if (a->config == NULL)
		return say(0, "pipeline", "the bundled office pipeline "
		    "(--config DIR for your own)");
	st = tn_app_load_dir(a->config, &p, &d);
	if (st != TN_OK) {
		snprintf(words, sizeof words, "%s:%u:%u %s", d.file,
		    (unsigned)d.line, (unsigned)d.column, d.message);
		return say(2, "pipeline", words);
	}
	snprintf(words, sizeof words, "%s: %u tables, %u views", a->config,
	    (unsigned)p->table_count, (unsigned)p->view_count);
	tn_sql_pipeline_free(p);
	return say(0, "pipeline", words);
}

static const char *
first_line(struct tn_buf *body)
{
	char *text = (char *)(uintptr_t)tn_buf_cstr(body);

	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* "memory tight 1234 of 5678" in the words of /readyz?verbose. */
static int
look_at_memory(struct tn_buf *body)
{
	const char *at = strstr(tn_buf_cstr(body), "\nmemory ");
	unsigned long long used, max;
	char level[12], words[200];
	bool calm;

	if (at == NULL || sscanf(at, "\nmemory %11s %llu of %llu", level,
	    &used, &max) != 3)
		return 0;
	calm = strcmp(level, "calm") == 0;
	snprintf(words, sizeof words, "%.1f of %.1f MiB of memory_max are in "
	    "use%s", (double)used / (1 << 20), (double)max / (1 << 20),
	    calm ? "" : strcmp(level, "pressed") == 0 ?
	    ": caches shrink and cuts come early; more memory_max helps" :
	    ": queries or events are refused; raise memory_max");
	return say(calm ? 0 : 1, "memory", words);
}

static int
look_at_server(const struct tn_app_args *a)
{
	char *url = tn_app_url(a, "/readyz?verbose=1");
	struct tn_app_call c = { .method = "GET", .url = url };
	struct tn_app_reply r;
	char words[400];
	int rank = 0, memory = 0;

	tn_app_ask(a, &c, &r);
	if (r.status == 200) {
		snprintf(words, sizeof words, "%s says ready", url);
		memory = look_at_memory(&r.body);
	} else if (r.status == 0) {
		snprintf(words, sizeof words, "none answers at %s (tarn run "
		    "starts one)", url);
		rank = 1;
	} else {
		snprintf(words, sizeof words, "%s answers %ld: %.250s", url,
		    r.status, first_line(&r.body));
		rank = 2;
	}
	tn_free(url);
	tn_buf_fini(&r.body);
	rank = say(rank, "server", words);
	return rank > memory ? rank : memory;
}

/* How long the disk lasts, and the cold folder. */
static int
say_lake(const struct tn_json *o)
{
	const struct tn_json *tables = tn_codec_json_get(o, "tables");
	const struct tn_json *cold = tn_codec_json_get(o, "cold");
	const struct tn_json *folder = tn_codec_json_get(cold, "folder");
	const struct tn_json *ready = tn_codec_json_get(cold, "ready");
	const struct tn_json *a_day = tn_codec_json_get(o, "bytes_per_day");
	int64_t bytes = 0, moved = 0;
	int64_t days = tn_codec_json_i64(o, "days_left", 0);
	int64_t room = tn_codec_json_i64(cold, "free", 0);
	bool lost = ready != NULL && ready->kind == TN_JSON_FALSE;
	char words[900];
	size_t n;

	for (uint32_t i = 0; tables != NULL && i < tables->count; i++) {
		bytes += tn_codec_json_i64(&tables->items[i], "bytes", 0);
		moved += tn_codec_json_i64(&tables->items[i], "cold_bytes",
		    0);
	}
	n = (size_t)snprintf(words, sizeof words, "%.1f MiB",
	    (double)bytes / (1 << 20));
	if (folder != NULL)
		n += (size_t)snprintf(words + n, sizeof words - n, ", of it "
		    "%.1f MiB in the cold folder %.*s", (double)moved /
		    (1 << 20), (int)(folder->text.n > 500 ? 500 :
		    folder->text.n), (const char *)folder->text.p);
	if (lost)
		n += (size_t)snprintf(words + n, sizeof words - n, ", which "
		    "is not there: mount it");
	else if (folder != NULL)
		n += (size_t)snprintf(words + n, sizeof words - n, " (%.1f "
		    "GiB free)", (double)room / (1 << 30));
	if (a_day != NULL && a_day->kind == TN_JSON_NULL)
		(void)snprintf(words + n, sizeof words - n, "; how long the "
		    "disk lasts is not known yet");
	else if (days > 0)
		(void)snprintf(words + n, sizeof words - n, "; at this rate "
		    "the disk lasts %lld days", (long long)days);
	return say(lost ? 2 : (folder != NULL &&
	    (uint64_t)room < WARN_FREE) ||
	    (days > 0 && days < WARN_DAYS) ? 1 : 0, "lake", words);
}

/* Only where a server answers, and lets us ask. */
static int
look_at_lake(const struct tn_app_args *a)
{
	char *url = tn_app_url(a, "/api/v1/lake");
	char *token = tn_app_url_token(a);
	struct tn_app_call c = { .method = "GET", .url = url,
	    .token = token };
	struct tn_arena *arena = tn_arena_new(4096);
	struct tn_json *o = NULL;
	struct tn_app_reply r;
	int rank = 0;

	tn_app_ask(a, &c, &r);
	if (r.status == 200 && tn_codec_json_parse(arena, (struct tn_slice){
	    r.body.p, r.body.n }, &o, NULL) == TN_OK)
		rank = say_lake(o);
	tn_buf_fini(&r.body);
	tn_arena_free(arena);
	tn_free(token);
	tn_free(url);
	return rank;
}

static int
look_at_zones(void)
{
	if (tn_os_kind("/usr/share/zoneinfo/Europe/Berlin") == TN_OS_FILE)
		return say(0, "tzdata", "time zones are installed");
	return say(1, "tzdata", "no time zones: only UTC and fixed offsets "
	    "work; apt-get install tzdata");
}

int
tn_app_doctor(const struct tn_app_args *a)
{
	int worst, rank;

	worst = say(0, "binary", "tarn " TN_VERSION);
	rank = look_at_disk(a);
	worst = rank > worst ? rank : worst;
	rank = look_at_config(a);
	worst = rank > worst ? rank : worst;
	rank = look_at_zones();
	worst = rank > worst ? rank : worst;
	rank = look_at_server(a);
	worst = rank > worst ? rank : worst;
	rank = look_at_lake(a);
	worst = rank > worst ? rank : worst;
	return worst == 2 ? TN_EXIT_FAILED : TN_EXIT_OK;
}
