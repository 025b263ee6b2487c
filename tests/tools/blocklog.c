/* blocklog: a disk that remembers. It is one regular file, served through
 * /dev/fuse (no library needed), for `losetup` and a real file system on top;
 * every write and every flush goes into a log in the order they came, so that
 * powerloss.test.mjs can rebuild the disk as a power loss would leave it.
 *
 *   blocklog MOUNTPOINT-FILE BYTES LOG COUNTER
 *
 * The disk's bytes are in memory and begin as zeros. COUNTER is a file with
 * one u64, mapped: the number of entries so far; who reads it after an
 * acknowledgment knows by which entry the acknowledged bytes must be durable.
 * An entry of LOG: u64 kind (1 write, 2 flush), u64 at, u64 bytes, u64 zero,
 * then the bytes; numbers as the machine has them.
 *
 * One thread answers one request at a time. A loop device knows no FUA: the
 * block layer makes a flush of it. Discards and zero-outs are refused, so
 * that the kernel writes zeros, which are then in the log. Ends with 0 when
 * the file is unmounted; any failed write of the log ends it with 1. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITE_MAX = 1 << 20, REQUEST_MAX = WRITE_MAX + 65536 };
enum { KIND_WRITE = 1, KIND_FLUSH = 2 };

static struct {
	int dev, log;
	uint8_t *bytes;
	uint64_t size;
	volatile uint64_t *count;
} disk;

static void
die(const char *what)
{
	fprintf(stderr, "blocklog: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
note(uint64_t kind, uint64_t at, const void *p, uint64_t n)
{
	uint64_t head[4] = { kind, at, n, 0 };
	struct iovec v[2] = { { head, sizeof head }, { (void *)p, n } };

	if (writev(disk.log, v, n > 0 ? 2 : 1) != (ssize_t)(sizeof head + n))
		die("write the log");
	__sync_synchronize();
	++*disk.count;
}

static void
answer(uint64_t unique, int err, const void *p, size_t n)
{
	struct fuse_out_header h = { (uint32_t)(sizeof h + n), err, unique };
	struct iovec v[2] = { { &h, sizeof h }, { (void *)p, n } };

	/* ENOENT: the request was interrupted meanwhile. */
	if (writev(disk.dev, v, n > 0 ? 2 : 1) < 0 && errno != ENOENT)
		die("answer");
}

static void
init(const struct fuse_in_header *h, const struct fuse_init_in *in)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = in->flags & (FUSE_BIG_WRITES | FUSE_MAX_PAGES),
		.max_background = 16,
		.congestion_threshold = 12,
		.max_write = WRITE_MAX,
		.time_gran = 1,
		.max_pages = WRITE_MAX / 4096,
	};

	answer(h->unique, 0, &out, sizeof out);
}

static void
attributes(const struct fuse_in_header *h)
{
	struct fuse_attr_out out = { .attr_valid = 1000000 };

	out.attr.ino = FUSE_ROOT_ID;
	out.attr.size = disk.size;
	out.attr.blocks = disk.size / 512;
	out.attr.mode = S_IFREG | 0600;
	out.attr.nlink = 1;
	out.attr.blksize = 4096;
	answer(h->unique, 0, &out, sizeof out);
}

static void
take_write(const struct fuse_in_header *h, const struct fuse_write_in *in)
{
	struct fuse_write_out out = { .size = in->size };

	if (in->offset > disk.size || in->size > disk.size - in->offset) {
		answer(h->unique, -EFBIG, NULL, 0);
		return;
	}
	memcpy(disk.bytes + in->offset, in + 1, in->size);
	note(KIND_WRITE, in->offset, in + 1, in->size);
	answer(h->unique, 0, &out, sizeof out);
}

static void
give_read(const struct fuse_in_header *h, const struct fuse_read_in *in)
{
	uint64_t n = in->offset < disk.size ? disk.size - in->offset : 0;

	if (n > in->size)
		n = in->size;
	answer(h->unique, 0, disk.bytes + (n > 0 ? in->offset : 0), n);
}

static void
serve(const struct fuse_in_header *h)
{
	struct fuse_open_out opened = { .open_flags = FOPEN_KEEP_CACHE };
	struct fuse_statfs_out fs = { .st = { .bsize = 4096, .namelen = 255,
	    .frsize = 4096 } };

	switch (h->opcode) {
	case FUSE_INIT:
		init(h, (const void *)(h + 1));
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:     /* Times; nothing changes the size. */
		attributes(h);
		break;
	case FUSE_OPEN:
		answer(h->unique, 0, &opened, sizeof opened);
		break;
	case FUSE_READ:
		give_read(h, (const void *)(h + 1));
		break;
	case FUSE_WRITE:
		take_write(h, (const void *)(h + 1));
		break;
	case FUSE_FSYNC:
		note(KIND_FLUSH, 0, NULL, 0);
		answer(h->unique, 0, NULL, 0);
		break;
	case FUSE_STATFS:
		answer(h->unique, 0, &fs, sizeof fs);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_DESTROY:
		answer(h->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		answer(h->unique, -ENOSYS, NULL, 0);
	}
}

static void *
map(const char *path, uint64_t n)
{
	int fd = path != NULL ? open(path, O_RDWR | O_CREAT, 0600) : -1;
	void *p;

	if (path != NULL && (fd < 0 || ftruncate(fd, (off_t)n) != 0))
		die(path);
	p = mmap(NULL, n, PROT_READ | PROT_WRITE, path != NULL ? MAP_SHARED :
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED)
		die("map");
	return p;
}

int
main(int argc, char **argv)
{
	uint8_t *request = malloc(REQUEST_MAX);
	char options[128];

	if (argc != 5 || request == NULL) {
		fprintf(stderr, "usage: blocklog FILE BYTES LOG COUNTER\n");
		return 2;
	}
	disk.size = strtoull(argv[2], NULL, 10);
	disk.bytes = map(NULL, disk.size);
	disk.count = map(argv[4], 8);
	disk.log = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	disk.dev = open("/dev/fuse", O_RDWR);
	if (disk.log < 0 || disk.dev < 0)
		die(disk.log < 0 ? argv[3] : "/dev/fuse");
	snprintf(options, sizeof options,
	    "fd=%d,rootmode=100600,user_id=0,group_id=0", disk.dev);
	if (mount("blocklog", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) != 0)
		die("mount");
	printf("mounted\n");
	fflush(stdout);
	for (;;) {
		ssize_t n = read(disk.dev, request, REQUEST_MAX);

		if (n < 0 && errno == ENODEV)
			return 0;
		if (n < 0 && errno != EINTR && errno != EAGAIN && errno != ENOENT)
			die("read a request");
		if (n > 0)
			serve((const void *)request);
	}
}
