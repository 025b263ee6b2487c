/* watch: what lies in the drop folders, and which of it is whole.
 *
 *   SETTLING --size and time at rest for settle_us--> QUEUED --> LOADING
 *      |        or renamed from FILE.part, .FILE          |
 *      '<------------- changed -------------------------- '
 *   WAITING: something of ours was full or failed; QUEUED again later
 *
 * A rename is told from a copy by the file itself: device, inode and time of
 * birth are those of a partial name of this look or one of the two before: one
 * that is renamed while we look may be under neither name then. An inode alone
 * would not do, it is given out again at once. */
#include "inbox/inbox_int.h"

#include <string.h>

static bool
ends_with(const char *name, const char *ending)
{
	size_t n = strlen(name), m = strlen(ending);

	return n > m && strcmp(name + n - m, ending) == 0;
}

bool
tn_inbox_is_partial(const char *name)
{
	static const char *const endings[] = { ".part", ".tmp", ".partial",
	    ".filepart", ".crdownload" };

	if (name[0] == '.')
		return true;
	for (size_t i = 0; i < TN_COUNT(endings); i++)
		if (ends_with(name, endings[i]))
			return true;
	return false;
}

bool
tn_inbox_is_options(const char *name)
{
	return strcmp(name, "options.json") == 0 ||
	    ends_with(name, ".options.json");
}

static char *
path_of(const struct place *p, const char *name, const char *more)
{
	struct tn_buf b = { 0 };
	char *s;

	tn_buf_printf(&b, "%s/%s%s", p->folder, name, more);
	s = tn_strdup(tn_buf_cstr(&b));
	tn_buf_fini(&b);
	return s;
}

static bool
same_file(const struct tn_os_info *a, const struct tn_os_info *b)
{
	return a->born_ns != 0 && a->device == b->device &&
	    a->inode == b->inode && a->born_ns == b->born_ns;
}

static bool
was_partial(const struct place *p, const struct tn_os_info *info)
{
	for (size_t k = 0; k < TN_COUNT(p->looks); k++)
		for (uint32_t i = 0; i < p->looks[k].count; i++)
			if (same_file(&p->looks[k].infos[i], info))
				return true;
	return false;
}

static void
lower(int64_t *next_us, int64_t at_us)
{
	if (*next_us == 0 || at_us < *next_us)
		*next_us = at_us;
}

void
tn_inbox_settle(struct item *it, int64_t settle_us, int64_t now_us,
    int64_t *next_us)
{
	if (it->state == ITEM_SETTLING) {
		if (now_us - it->since_us >= settle_us)
			it->state = ITEM_QUEUED;
		else
			lower(next_us, it->since_us + settle_us);
	} else if (it->state == ITEM_WAITING) {
		if (now_us >= it->retry_us)
			it->state = ITEM_QUEUED;
		else
			lower(next_us, it->retry_us);
	}
}

static struct item *
find_item(struct tn_inbox *in, uint32_t stream, const char *name)
{
	for (struct item *it = in->items; it != NULL; it = it->next)
		if (it->stream == stream && strcmp(it->name, name) == 0)
			return it;
	return NULL;
}

static struct item *
new_item(struct tn_inbox *in, uint32_t stream, const char *name)
{
	struct item *it = tn_zalloc(sizeof *it), **end = &in->items;

	it->stream = stream;
	it->name = tn_strdup(name);
	while (*end != NULL)
		end = &(*end)->next;
	*end = it;
	return it;
}

void
tn_inbox_forget(struct tn_inbox *in, struct item *it)
{
	struct item **at = &in->items;

	while (*at != it)
		at = &(*at)->next;
	*at = it->next;
	tn_free(it->name);
	tn_free(it);
}

/* One data file. The lock is held. */
static void
look_at(struct tn_inbox *in, uint32_t stream, const char *name,
    const struct tn_os_info *info, int64_t side_ns)
{
	struct place *p = &in->places[stream];
	struct item *it = find_item(in, stream, name);
	int64_t now_us = tn_os_mono_us();
	/* Without times of birth a number that stays is the same file. */
	bool fresh = it == NULL || (info->born_ns != 0 &&
	    !same_file(&it->info, info));

	if (it == NULL)
		it = new_item(in, stream, name);
	it->seen = true;
	if (it->state == ITEM_LOADING)
		return;
	if (fresh || it->info.bytes != info->bytes || it->side_ns != side_ns ||
	    it->info.modified_ns != info->modified_ns ||
	    it->info.inode != info->inode) {
		it->info = *info;
		it->side_ns = side_ns;
		it->since_us = now_us;
		it->state = fresh && was_partial(p, info) ? ITEM_QUEUED :
		    ITEM_SETTLING;
	}
	tn_inbox_settle(it, in->o.settle_us, now_us, &in->next_us);
}

static int64_t
side_of(const struct place *p, const char *name)
{
	char *path = path_of(p, name, ".options.json");
	struct tn_os_info info = { .kind = TN_OS_NONE };
	int64_t ns = 0;

	if (tn_os_kind(path) == TN_OS_FILE &&
	    tn_os_look(path, &info) == TN_OK)
		ns = info.modified_ns;
	tn_free(path);
	return ns;
}

static void
look_at_name(struct tn_inbox *in, uint32_t stream, const char *name,
    struct partials *now)
{
	struct place *p = &in->places[stream];
	struct tn_os_info info;
	char *path = path_of(p, name, "");
	enum tn_status st = tn_os_look(path, &info);
	int64_t side_ns;

	tn_free(path);
	/* Gone since it was listed, a folder, a link, a pipe. */
	if (st != TN_OK || info.kind != TN_OS_FILE)
		return;
	if (tn_inbox_is_partial(name)) {
		now->infos[now->count++] = info;
		return;
	}
	if (tn_inbox_is_options(name))
		return;
	side_ns = side_of(p, name);
	tn_net_lock_take(in->lock);
	look_at(in, stream, name, &info, side_ns);
	tn_net_lock_drop(in->lock);
}

static void
scan_place(struct tn_inbox *in, uint32_t stream)
{
	struct place *p = &in->places[stream];
	struct partials *now = &p->looks[0];
	char **names = NULL;
	size_t count = 0;

	if (tn_os_list(p->folder, &names, &count) != TN_OK)
		return;
	tn_free(p->looks[2].infos);
	p->looks[2] = p->looks[1];
	p->looks[1] = p->looks[0];
	*now = (struct partials){ .infos = tn_alloc((count + 1) *
	    sizeof *now->infos) };
	for (size_t i = 0; i < count; i++) {
		look_at_name(in, stream, names[i], now);
		tn_free(names[i]);
	}
	tn_free(names);
	tn_net_lock_take(in->lock);
	p->partial_count = now->count;
	tn_net_lock_drop(in->lock);
}

void
tn_inbox_scan(struct tn_inbox *in)
{
	struct item *it, *next;

	in->next_us = 0;
	for (it = in->items; it != NULL; it = it->next)
		it->seen = false;
	for (uint32_t i = 0; i < in->o.model->stream_count; i++)
		if (in->places[i].folder != NULL)
			scan_place(in, i);
	tn_net_lock_take(in->lock);
	for (it = in->items; it != NULL; it = next) {
		next = it->next;
		if (!it->seen && it->state != ITEM_LOADING)
			tn_inbox_forget(in, it);
	}
	tn_net_lock_drop(in->lock);
	tn_inbox_look_back(in);
	tn_inbox_start(in);
	tn_inbox_count(in);
}

void
tn_inbox_count(struct tn_inbox *in)
{
	int64_t n = 0;

	for (const struct item *it = in->items; it != NULL; it = it->next)
		n++;
	tn_counter_set(in->files, n);
}
