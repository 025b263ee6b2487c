/* A clock that the test owns; the batch thread looks at it, too. */
#ifndef TN_BATCH_CLOCK_HELP_H
#define TN_BATCH_CLOCK_HELP_H

#include "batch_help.h"

#define DAY INT64_C(86400000000)
#define MINUTE INT64_C(60000000)

static _Atomic int64_t wall, mono;
static struct tn_os_table table;

static int64_t
wall_us(void)
{
	return wall;
}

static int64_t
mono_us(void)
{
	return mono;
}

/* Time goes by while the program runs. */
static void
pass(int64_t us)
{
	wall += us;
	mono += us;
}

/* Before the rig is made; table's other calls may be changed afterwards. */
static void
clock_begin(int64_t at)
{
	table = tn_os_real;
	table.wall_us = wall_us;
	table.mono_us = mono_us;
	table.boot_us = mono_us;
	tn_os_use(&table);
	wall = at;
	mono = DAY;
}

static void
drop(struct rig *g)
{
	rig_drop(g);
	tn_os_use(NULL);
}

#endif
