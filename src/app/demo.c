/* The demo: 15 days of four real rooms (people, CO2, damper; SDU, CC-BY-4.0)
 * through our own HTTP door, as any client would send them. Fourteen days are
 * loaded as history; the fifteenth is replayed as if it were ending now: its
 * minutes come faster than life until they have caught up with the clock,
 * then one a minute.
 *
 * Day 14 of the data is laid on today (UTC): every event carries the date of
 * day 0, base = today - 14 days, so the events' times are real and recent.
 * When the data's last day is over, its days begin again. */
#include "app/app.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codec/codec.h"
#include "os/os.h"
#include "record/record.h"

#define DAYS 15
#define MINUTES 1440
#define ROOMS 4
#define SERIES 3
#define DAY_US INT64_C(86400000000)
#define MINUTE_US INT64_C(60000000)
#define STEP_MS 250          /* Between replayed minutes, at first. */
#define TEXT_MAX (4u << 20)

static const struct series {
	const char *stream;
	const char *file;        /* demo/<file>_room_<n>.csv.gz */
	const char *column;
} series[SERIES] = {
	{ "people_count", "occ", "people" },
	{ "co2", "co2", "ppm" },
	{ "damper", "vav", "open_percent" },
};

struct tn_app_demo {
	pthread_t thread;
	int stop;                /* Atomic. */
	char *url;
	char *token;             /* Our own, when the door asks for one. */
	bool terminal;
	void (*progress)(void *arg, const char *json);
	void *arg;
	/* value[series][room][day * MINUTES + minute], as text in the file. */
	char *values[SERIES][ROOMS];
	uint32_t *at[SERIES][ROOMS];
	int32_t base_day;        /* Days since 1970 of the data's day 0. */
	uint64_t loaded;
};

static bool
stopping(const struct tn_app_demo *d)
{
	return __atomic_load_n(&d->stop, __ATOMIC_ACQUIRE) != 0;
}

static void
tell(struct tn_app_demo *d, uint64_t done, uint64_t total, const char *text)
{
	char json[300];

	snprintf(json, sizeof json, "{\"kind\":\"demo\",\"loaded\":%" PRIu64
	    ",\"total\":%" PRIu64 ",\"text\":\"%s\"}", done, total, text);
	if (!stopping(d))
		d->progress(d->arg, done < total ? json : NULL);
	if (d->terminal)
		fprintf(stderr, "\r  %s: %" PRIu64 " of %" PRIu64 " events%s",
		    text, done, total, done < total ? "" : "\n");
}

/* ---- the bundled files ----------------------------------------------- */

static const struct tn_app_file *
find_file(int s, int room)
{
	const struct tn_app_file *files;
	uint32_t n = tn_app_bundle(&files);
	char path[64];

	snprintf(path, sizeof path, "demo/%s_room_%d.csv.gz", series[s].file,
	    room + 1);
	for (uint32_t i = 0; i < n; i++)
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	return NULL;
}

static bool
unpack(const struct tn_app_file *f, struct tn_buf *out)
{
	struct tn_inflate *z = tn_inflate_new(TN_CODING_GZIP);
	struct tn_slice in = { f->bytes, f->size };
	enum tn_status st = TN_OK;

	while (st == TN_OK && out->n < TEXT_MAX)
		st = tn_inflate_step(z, &in, out, 65536);
	tn_inflate_free(z);
	return st == TN_END;
}

/* The last field of each line, in file order: a line a minute. */
static bool
read_values(struct tn_app_demo *d, int s, int room)
{
	const struct tn_app_file *f = find_file(s, room);
	struct tn_buf text = { 0 };
	uint32_t n = 0;
	char *save = NULL;

	if (f == NULL || !unpack(f, &text)) {
		tn_buf_fini(&text);
		return false;
	}
	d->values[s][room] = tn_strndup((char *)text.p, text.n);
	d->at[s][room] = tn_zalloc(DAYS * MINUTES * sizeof(uint32_t));
	tn_buf_fini(&text);
	strtok_r(d->values[s][room], "\r\n", &save);   /* The header. */
	for (char *line; n < DAYS * MINUTES; n++) {
		line = strtok_r(NULL, "\r\n", &save);
		if (line == NULL || strrchr(line, ',') == NULL)
			break;
		d->at[s][room][n] = (uint32_t)(strrchr(line, ',') + 1 -
		    d->values[s][room]);
	}
	return n == DAYS * MINUTES;
}

/* ---- sending --------------------------------------------------------- */

static bool
send_body(struct tn_app_demo *d, const char *path, const struct tn_buf *body)
{
	struct tn_buf url = { 0 };
	struct tn_app_call c = { .method = "POST",
	    .type = "application/x-ndjson", .body = { body->p, body->n },
	    .token = d->token, .cancel = &d->stop };
	struct tn_app_reply r;

	tn_buf_printf(&url, "%s%s", d->url, path);
	c.url = tn_buf_cstr(&url);
	tn_app_http(&c, &r);
	if (r.status != 200 && !stopping(d))
		tn_say(TN_WARN, "demo", "%s answered %ld: %.*s", path,
		    r.status, (int)(r.body.n > 200 ? 200 : r.body.n),
		    r.body.n > 0 ? (char *)r.body.p : r.error);
	tn_buf_fini(&url);
	tn_buf_fini(&r.body);
	return r.status == 200;
}

static void
add_event(struct tn_app_demo *d, struct tn_buf *b, int s, int room,
    int64_t day, int minute)
{
	size_t i = (size_t)(day % DAYS) * MINUTES + (size_t)minute;
	int32_t y;
	uint32_t m, dd;

	tn_record_civil(d->base_day, &y, &m, &dd);
	tn_buf_printf(b, "{\"base\":\"%04d-%02u-%02u\",\"day_id\":%d,"
	    "\"time_of_day\":\"%02d:%02d:00\",\"room\":%d,\"%s\":%s}\n",
	    (int)y, (unsigned)m, (unsigned)dd, (int)day, minute / 60,
	    minute % 60, room + 1, series[s].column,
	    d->values[s][room] + d->at[s][room][i]);
}

/* Minutes [0, end) of one day of one series. */
static bool
load_day(struct tn_app_demo *d, int s, int64_t day, int end)
{
	struct tn_buf b = { 0 };
	char path[64];
	bool good;

	for (int minute = 0; minute < end; minute++)
		for (int room = 0; room < ROOMS; room++)
			add_event(d, &b, s, room, day, minute);
	snprintf(path, sizeof path, "/api/v1/streams/%s", series[s].stream);
	good = send_body(d, path, &b);
	tn_buf_fini(&b);
	d->loaded += (uint64_t)end * ROOMS;
	return good;
}

/* All before minute ${end}. */
static bool
load_history(struct tn_app_demo *d, int64_t end)
{
	uint64_t total = (uint64_t)(SERIES * ROOMS * end);
	bool good = true;

	for (int64_t day = 0; good && day * MINUTES < end; day++) {
		int64_t left = end - day * MINUTES;
		int minutes = left < MINUTES ? (int)left : MINUTES;
		for (int s = 0; good && s < SERIES && !stopping(d); s++) {
			good = load_day(d, s, day, minutes);
			tell(d, d->loaded, total, "loading history");
		}
	}
	return good && !stopping(d);
}

static void
pause_ms(struct tn_app_demo *d, int64_t ms)
{
	for (; ms > 0 && !stopping(d); ms -= 50)
		usleep((useconds_t)(ms < 50 ? ms : 50) * 1000);
}

static bool
send_minute(struct tn_app_demo *d, int64_t day, int minute)
{
	char path[64];
	bool good = true;

	for (int s = 0; good && s < SERIES; s++) {
		struct tn_buf b = { 0 };
		for (int room = 0; room < ROOMS; room++)
			add_event(d, &b, s, room, day, minute);
		snprintf(path, sizeof path, "/api/v1/streams/%s",
		    series[s].stream);
		good = send_body(d, path, &b);
		tn_buf_fini(&b);
	}
	return good;
}

/* The minute after the newest event of an earlier start, 0 when there is
 * none: what is there need not be sent again. */
static int64_t
known_minute(struct tn_app_demo *d)
{
	struct tn_arena *a = tn_arena_new(1024);
	struct tn_buf url = { 0 };
	struct tn_app_reply r;
	struct tn_json *o = NULL;
	const struct tn_json *rows;
	int64_t us = 0;
	bool zone;

	tn_buf_printf(&url, "%s/api/v1/sql", d->url);
	struct tn_app_call c = { .method = "POST", .url = tn_buf_cstr(&url),
	    .type = "application/sql", .accept = "application/json",
	    .token = d->token, .cancel = &d->stop,
	    .body = tn_slice_of("SELECT max(ts) FROM damper") };
	tn_app_http(&c, &r);
	if (r.status == 200 && tn_codec_json_parse(a, (struct tn_slice){
	    r.body.p, r.body.n }, &o, NULL) == TN_OK) {
		rows = tn_codec_json_get(o, "rows");
		if (rows != NULL && rows->count == 1 &&
		    rows->items[0].count == 1 && !tn_record_parse_timestamp(
		    rows->items[0].items[0].text, &us, &zone))
			us = 0;
	}
	tn_buf_fini(&url);
	tn_buf_fini(&r.body);
	tn_arena_free(a);
	return us == 0 ? 0 : (us - d->base_day * DAY_US) / MINUTE_US + 1;
}

/* Minutes since day 0 up to now. */
static int64_t
now_minute(const struct tn_app_demo *d)
{
	return (tn_os_wall_us() - d->base_day * DAY_US) / MINUTE_US;
}

static void
replay(struct tn_app_demo *d, int64_t at)
{
	while (!stopping(d)) {
		if (at > now_minute(d)) {
			pause_ms(d, 1000);
			continue;
		}
		if (!send_minute(d, at / MINUTES, (int)(at % MINUTES))) {
			pause_ms(d, 1000);      /* The same minute again. */
			continue;
		}
		at++;
		pause_ms(d, STEP_MS);
	}
}

/* Let the page show both layers: history final, the rest provisional. */
static void
cut(struct tn_app_demo *d)
{
	struct tn_buf empty = { 0 };

	send_body(d, "/api/v1/batch/run", &empty);
}

static void *
run_demo(void *arg)
{
	struct tn_app_demo *d = arg;
	int64_t begin, known;
	bool good = true;

	for (int s = 0; s < SERIES; s++)
		for (int room = 0; good && room < ROOMS; room++)
			good = read_values(d, s, room);
	if (!good) {
		tn_say(TN_ERROR, "demo", "this build holds no demo data");
		return NULL;
	}
	/* The last 24 hours before now are replayed, all before is history.
	 * Events that are there from an earlier start are duplicates. */
	d->base_day = (int32_t)((tn_os_wall_us() - (DAYS - 1) * DAY_US) /
	    DAY_US);
	begin = now_minute(d) - MINUTES;
	known = known_minute(d);
	if (known > begin) {
		replay(d, known);
	} else if (load_history(d, begin)) {
		cut(d);
		replay(d, begin);
	}
	return NULL;
}

struct tn_app_demo *
tn_app_demo_start(const char *url, const char *token, bool terminal,
    void (*progress)(void *arg, const char *json), void *arg)
{
	struct tn_app_demo *d = tn_zalloc(sizeof *d);

	d->url = tn_strdup(url);
	d->token = tn_strdup(token);
	d->terminal = terminal;
	d->progress = progress;
	d->arg = arg;
	if (pthread_create(&d->thread, NULL, run_demo, d) != 0)
		tn_assert(!"no thread for the demo");
	return d;
}

void
tn_app_demo_cancel(struct tn_app_demo *d)
{
	if (d != NULL)
		__atomic_store_n(&d->stop, 1, __ATOMIC_RELEASE);
}

void
tn_app_demo_stop(struct tn_app_demo *d)
{
	if (d == NULL)
		return;
	tn_app_demo_cancel(d);
	pthread_join(d->thread, NULL);
	for (int s = 0; s < SERIES; s++)
		for (int room = 0; room < ROOMS; room++) {
			tn_free(d->values[s][room]);
			tn_free(d->at[s][room]);
		}
	tn_free(d->url);
	tn_free(d->token);
	tn_free(d);
}
