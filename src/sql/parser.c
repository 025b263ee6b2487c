/* The one thread on which PostgreSQL's parser runs, for as long as the
 * process lives.
 *
 * Not a thread a text: libpg_query makes a thread key for every thread that
 * it meets and never deletes it, so that after 1024 texts no room of the
 * process could get one more (measured). And not the caller's thread: the
 * parser recurses as deep as the text says, so it wants 64 MiB of stack,
 * which are mapped once and touched only by deep texts.
 *
 * Callers queue their text and wait; a parse takes 0.1 to 10 ms. net lends a
 * large stack for one call, which here never returns, and its actor is what
 * waits for it. */
#include "sql/sql_int.h"

#include <pg_query.h>
#include <threads.h>

#include "net/net.h"

#define STACK_BYTES (64u * 1024 * 1024)

/* A text on its way. Lives with the caller, who waits for done. */
struct request {
	struct request *next;
	const char *text;
	PgQueryParseResult result;
	struct tn_net_latch *done;
};

/* Texts in order of asking. wake opens when the queue stops being empty;
 * both are touched only under the lock. */
static struct {
	struct tn_net_lock *lock;
	struct tn_net_latch *wake;
	struct request *first;
	struct request *last;
	struct tn_net_job job;
	struct tn_net_actor *actor;
} line;
static once_flag line_once = ONCE_FLAG_INIT;

/* The oldest text, or NULL. */
static struct request *
take(void)
{
	struct request *r = line.first;

	if (r != NULL)
		line.first = r->next;
	return r;
}

static void
serve(void *arg)
{
	struct tn_net_latch *wake;
	struct request *r;

	(void)arg;
	for (;;) {
		tn_net_lock_take(line.lock);
		r = take();
		wake = line.wake;
		tn_net_lock_drop(line.lock);
		if (r != NULL) {
			r->result = pg_query_parse(r->text);
			tn_net_latch_open(r->done);
			continue;
		}
		tn_net_latch_wait(wake);
		tn_net_lock_take(line.lock);
		tn_net_latch_free(wake);
		line.wake = tn_net_latch_new();
		if (line.first != NULL)
			tn_net_latch_open(line.wake);
		tn_net_lock_drop(line.lock);
	}
}

static void
serve_deep(struct tn_net_job *job)
{
	(void)job;
	tn_net_run_with_stack(STACK_BYTES, serve, NULL);
}

static void
start(void)
{
	enum tn_status st;

	line.lock = tn_net_lock_new();
	line.wake = tn_net_latch_new();
	line.job.run = serve_deep;
	line.actor = tn_net_actor_new("sql", 1);
	st = tn_net_actor_post(line.actor, &line.job);
	tn_assert(st == TN_OK);
}

void
tn_sql_parse(const char *text, void *result)
{
	struct request r = { .text = text, .done = tn_net_latch_new() };

	call_once(&line_once, start);
	tn_net_lock_take(line.lock);
	if (line.first == NULL) {
		line.first = &r;
		tn_net_latch_open(line.wake);
	} else {
		line.last->next = &r;
	}
	line.last = &r;
	tn_net_lock_drop(line.lock);
	tn_net_latch_wait(r.done);
	tn_net_latch_free(r.done);
	*(PgQueryParseResult *)result = r.result;
}
