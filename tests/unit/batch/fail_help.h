/* Calls that fail on purpose: the one that fault.left says. A test names the
 * functions in its first line (wrap:) and has WRAP for each. */
#ifndef TN_TEST_FAIL_HELP_H
#define TN_TEST_FAIL_HELP_H

static struct {
	int left;                /* Calls until one fails; -1: none does. */
	uint32_t failed;
} fault = { -1, 0 };

static bool
fails_now(void)
{
	if (fault.left < 0 || fault.left-- > 0)
		return false;
	fault.failed++;
	return true;
}

#define WRAP(name, params, args) \
	enum tn_status __real_##name params; \
	enum tn_status __wrap_##name params; \
	enum tn_status __wrap_##name params \
	{ \
		return fails_now() ? TN_EIO : __real_##name args; \
	}

#endif
