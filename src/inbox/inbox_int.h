/* Shared inside inbox. Who owns what:
 *
 *   item    a file that was seen; actor, and under the lock what the loop
 *           shows of it
 *   load    a file on its way through ingest: actor while it is hashed and
 *           opened, loop while it is fed, actor for its end, loop to be freed
 *   piece   bytes between the two: actor fills, loop feeds */
#ifndef TN_INBOX_INBOX_INT_H
#define TN_INBOX_INBOX_INT_H

#include "governance/governance.h"
#include "inbox/inbox.h"
#include "log/log.h"

#define TN_INBOX_PIECES 2
#define TN_INBOX_RECENT 100
#define TN_INBOX_WHY 400

enum item_state { ITEM_SETTLING, ITEM_QUEUED, ITEM_LOADING, ITEM_WAITING };
struct item {
	struct item *next;
	uint32_t stream;
	char *name;
	struct tn_os_info info;
	int64_t side_ns;             /* Of its own options file; 0: none. */
	int64_t since_us;            /* As it is now since (monotonic). */
	int64_t retry_us;            /* WAITING: not before. */
	enum item_state state;
	bool seen;                   /* In the scan under way. */
	char why[TN_INBOX_WHY];      /* WAITING: for what. */
	struct load *load;
};

/* What became of a content: in the table, by stream and hash. */
struct record {
	bool moved;                  /* Its file left the drop folder. */
	uint64_t bytes;
	uint64_t accepted, quarantined, duplicates;
	int64_t at_us;
	char name[256];
};

struct piece {
	struct tn_net_job job;       /* First. */
	struct load *load;
	struct tn_buf bytes;
	bool last;
	bool ready;
};
enum load_phase { LOAD_HASHING, LOAD_LOADING };
struct load {
	struct tn_net_job job;       /* First. */
	struct tn_inbox *in;
	struct load *next, *prev;    /* Loop: those that have begun. */
	struct load *next_waiting;   /* Loop: ingest was full. */
	struct item *item;           /* NULL: a COPY. */
	uint32_t stream;
	char *path;
	char *name;
	struct tn_arena *arena;      /* Of the options. */
	struct tn_inbox_options options;

	/* Actor. */
	struct tn_os_file *file;     /* While it is hashed. */
	struct tn_governance_digest *digest;
	struct tn_inflate *inflate;  /* Is the compressed file whole? */
	struct tn_buf buf;
	struct tn_slice rest;        /* Of buf: not inflated yet. */
	bool full;                   /* The inflater may hold more of it. */
	uint64_t at;
	char hash[65];
	bool known;                  /* The content was loaded before. */
	struct record record;
	char moved[256];             /* Its name in done or rejected. */
	struct tn_inbox_source *source;
	enum tn_status read_status;
	struct tn_diag read_diag;

	/* Loop. */
	struct tn_ingest_body *body;
	struct piece pieces[TN_INBOX_PIECES];
	uint32_t out;                /* Pieces with the actor. */
	uint32_t head;               /* The piece to feed next. */
	bool begun;                  /* In the list. */
	bool ended;

	/* What it came to: loop, then actor. */
	enum tn_status status;
	struct tn_diag diag;
	uint64_t accepted, quarantined, duplicates;
	struct tn_buf lines;         /* Row errors, one a line. */
	void (*done)(void *arg, const struct tn_ingest_result *r);
	void *arg;

	/* For the page; atomic. */
	uint32_t phase;
	uint32_t permille;
	uint64_t bytes;
	int64_t begun_us;
};

enum recent_result { RECENT_DONE, RECENT_REPEATED, RECENT_REJECTED };
struct recent {
	enum recent_result result;
	uint32_t stream;
	char name[256];
	uint64_t bytes, accepted, quarantined, duplicates;
	int64_t at_us;
	char why[TN_INBOX_WHY];
	char moved[256];             /* Its name in done; "": not there. */
	struct tn_os_info taken;     /* The file, as it was. */
	bool grown;                  /* That was told. */
};

/* Files under a name that is not yet their own. */
struct partials {
	struct tn_os_info *infos;
	uint32_t count;
};
struct place {
	char *folder;                /* NULL: a stream without one. */
	struct tn_net_folder *watch;
	struct partials looks[3];    /* This scan's, then of those before. */
	uint32_t partial_count;      /* Of the last scan; the lock. */
	struct tn_counter *done, *rejected, *repeated, *grown, *bytes;
};

struct tn_inbox {
	struct tn_inbox_opts o;
	char *folder;
	char *work;
	struct tn_net_actor *actor;
	struct tn_log_table *table;  /* Actor. */
	struct place *places;        /* One a stream. */
	uint32_t under_way;          /* Atomic: loads. */
	uint32_t draining;           /* Atomic. */

	/* Actor; changed under the lock, which the loop takes to show them. */
	struct tn_net_lock *lock;
	struct item *items;
	uint32_t loading;            /* Items being loaded. */
	struct recent recent[TN_INBOX_RECENT];
	uint32_t recent_count;       /* All so far. */

	/* Loop. */
	struct load *loads;          /* With a body. */
	struct load *waiting;        /* For ingest. */
	uint32_t copies;
	struct tn_net_timer *soon;
	struct tn_net_timer *each;
	int64_t due_us;              /* Atomic: of each; 0: it is stopped. */
	struct tn_net_timer *again;
	struct tn_net_job scan;
	bool scanning, rescan;
	int64_t armed_us;            /* When soon fires; 0: not armed. */
	int64_t next_us;             /* Set by a scan; 0: nothing to come. */
	struct tn_counter *files;
};

/* ---- watch.c: what is there (actor) ----------------------------------- */

/* Look at all folders; tell when to look again. */
void tn_inbox_scan(struct tn_inbox *in);
/* Is this name one under which a file is still being written? */
bool tn_inbox_is_partial(const char *name);
/* Does it belong to another file? */
bool tn_inbox_is_options(const char *name);
/* What a look at ${now_us} (monotonic) makes of an item: its state, and
 * *next_us lowered to when it is worth another look. */
void tn_inbox_settle(struct item *it, int64_t settle_us, int64_t now_us,
    int64_t *next_us);
/* The gauge of what is there. */
void tn_inbox_count(struct tn_inbox *in);
/* Out of the list and freed. The lock is held. */
void tn_inbox_forget(struct tn_inbox *in, struct item *it);

/* ---- load.c ----------------------------------------------------------- */

/* Begin files that are at rest, as many as may be. Actor. */
void tn_inbox_start(struct tn_inbox *in);
/* Give up all that has a body. Loop. */
void tn_inbox_give_up(struct tn_inbox *in);
/* Those that ingest had no room for. Loop. */
void tn_inbox_again(void *arg);

/* ---- finish.c: records, moves (actor) ---------------------------------- */

/* The end of a dropped file. */
void tn_inbox_finish(struct load *l);
/* Tells of files in done that grew after they were taken: the last hundred. */
void tn_inbox_look_back(struct tn_inbox *in);
/* Is the file of a dropped one's name still what it was when it was queued? */
bool tn_inbox_is_unchanged(const struct load *l);
TN_MUST_USE enum tn_status tn_inbox_record_get(struct tn_inbox *in,
    uint32_t stream, const char *hash, struct record *out);

/* ---- inbox.c ----------------------------------------------------------- */

/* Look again soon. Loop. */
void tn_inbox_poke(struct tn_inbox *in);
bool tn_inbox_draining(const struct tn_inbox *in);
const char *tn_inbox_stream_name(const struct tn_inbox *in, uint32_t stream);

#endif
