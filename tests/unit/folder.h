/* A folder of its own for each test, as its state. */
#ifndef TN_TEST_FOLDER_H
#define TN_TEST_FOLDER_H

#include <unistd.h>

#include "os/os.h"
#include "random.h"

UNUSED static int
remove_all(const char *dir)
{
	char command[400];

	(void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
	return system(command);
}

UNUSED static int
folder_new(void **state)
{
	char *dir = tn_strdup("/tmp/tarn-unit-XXXXXX");

	*state = mkdtemp(dir);
	return *state == NULL;
}

UNUSED static int
folder_free(void **state)
{
	int rc;

	tn_os_use(NULL);
	rc = remove_all(*state);
	tn_free(*state);
	return rc;
}

#define FOLDER_TEST(f) \
	cmocka_unit_test_setup_teardown(f, folder_new, folder_free)

#endif
