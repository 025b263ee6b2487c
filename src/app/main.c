/* main: words on the command line to commands. Exit codes in app.h. */
#include "app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char overview[] =
    "tarn: a data pipeline in one program\n\n"
    "  tarn demo                                real building data, live, "
    "on http://127.0.0.1:8420\n"
    "  tarn run --config DIR                    your pipeline\n"
    "  tarn check DIR                           is this pipeline good?\n"
    "  tarn load STREAM FILE...                 CSV, NDJSON or Parquet, also "
    ".gz and .zst\n"
    "  tarn sql 'SELECT ...' --format csv       ask a running tarn\n\n"
    "Commands\n"
    "  run        take events, serve views       --config DIR --data DIR "
    "--http ADDR:PORT\n"
    "                                            --mqtt ADDR:PORT\n"
    "  demo       run with the bundled rooms     --data DIR --http "
    "ADDR:PORT\n"
    "  check      0 good, 1 not, with file:line:column\n"
    "  load       STREAM FILE... [name=value]    options: tarn help load\n"
    "  sql        'SELECT ...' | 'COPY ...' | 'CALL ...'   --format "
    "table|csv|json|ndjson -o FILE\n"
    "  cut        log to lake now\n"
    "  recompute  VIEW [--from T] [--to T] [--dry-run]   its states anew "
    "from silver\n"
    "  verify     [VIEW] [--sample [0.1]] [--seed N]   compare with the raw "
    "bytes: a line\n"
    "             for each time bucket, on a terminal for each run of equal "
    "ones\n"
    "             (--details: all; --summary: one a view); 1 when different\n"
    "  plan       what --config would change of --data or --url; 2: "
    "something\n"
    "  apply      changed definitions into a running tarn (--url)\n"
    "  backup     DEST                           of a running tarn (--url) "
    "or of --data\n"
    "  restore    SRC --data DIR                 into an empty folder, "
    "checked\n"
    "  token      create NAME [SCOPE] | list | revoke ID\n"
    "  doctor     look at this machine and the data folder\n"
    "  health     0 when a running tarn is ready\n"
    "  version, help [sql | settings | load | objects | TOPIC]\n\n"
    "Those that ask a running tarn (--url): --wait 60: seconds without any "
    "word of it\n\n"
    "Environment: TARN_CONFIG TARN_DATA TARN_HTTP TARN_MQTT TARN_URL TARN_TOKEN\n"
    "Exit codes: 0 ok, 1 failed check, 2 usage, 3 some rows quarantined, "
    "4 not reachable,\n            5 refused, 6 conflict\n";

static const char load_help[] =
    "tarn load STREAM FILE... [name=value ...] [--url URL]\n\n"
    "  tarn load badge events.ndjson.gz\n"
    "  tarn load rooms room_1.csv rename=people:'Room 1' constant=room:1\n"
    "  cat events.ndjson | tarn load badge -\n\n"
    "A Parquet file's columns go by their names. Files can also be put into\n"
    "DATA/inbox/STREAM/: each content is loaded exactly once, then moved to "
    "done/ or\nrejected/; the options stand in FILE.options.json or "
    "options.json beside it, as\n{\"delimiter\":\";\",\"rename\":"
    "{\"column\":\"field\"},\"constant\":{\"column\":\"text\"}}.\n\n"
    "Options, the same as query parameters of POST /api/v1/streams/STREAM:\n"
    "  format=csv|json|ndjson     else by the file's name, or its first "
    "byte\n"
    "  rename=COLUMN:FIELD        field FIELD of the file fills COLUMN; may "
    "repeat\n"
    "  constant=COLUMN:TEXT       COLUMN gets TEXT in every row; may "
    "repeat\n"
    "  columns=A,B,C              names of the fields, when the header is "
    "missing or wrong\n"
    "  header=true|false          does the first line name the fields\n"
    "  delimiter=;                one byte, or tab\n"
    "  null=NA                    this text is null\n"
    "  time_format='%m/%d/%y %H:%M:%S'   how times are written\n"
    "  time_zone=+01:00           for times without a zone; UTC otherwise\n";

/* ---- arguments ------------------------------------------------------- */

enum { CONFIG = 1, DATA = 2, HTTP = 4, MQTT = 8, WEB_DIR = 16, URL = 32,
	TOKEN = 64, FORMAT = 128, OUTPUT = 256, WAIT = 512,
	SERVER = CONFIG | DATA | HTTP | MQTT | WEB_DIR, ASKS = URL | TOKEN | WAIT };

static bool
take_option(struct tn_app_args *a, const char *name, const char *value)
{
	const struct { const char *name; const char **at; uint32_t bit; }
	known[] = {
		{ "--config", &a->config, CONFIG }, { "--data", &a->data, DATA },
		{ "--http", &a->http, HTTP }, { "--mqtt", &a->mqtt, MQTT },
		{ "--web-dir", &a->web_dir, WEB_DIR },
		{ "--url", &a->url, URL },
		{ "--token-file", &a->token_file, TOKEN },
		{ "--format", &a->format, FORMAT }, { "-o", &a->output, OUTPUT },
		{ "--wait", &a->wait, WAIT },
	};

	for (size_t i = 0; i < TN_COUNT(known); i++)
		if (strcmp(name, known[i].name) == 0) {
			*known[i].at = value;
			a->given |= known[i].bit;
			return true;
		}
	return false;
}

static bool
take_flag(struct tn_app_args *a, const char *word)
{
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		a->help = true;
	else if (strcmp(word, "--json") == 0)
		a->json = true;
	else if (strcmp(word, "-q") == 0 || strcmp(word, "--quiet") == 0)
		a->quiet = true;
	else if (strcmp(word, "-v") == 0 || strcmp(word, "--verbose") == 0)
		tn_say_setup(TN_DEBUG, -1);
	else if (strcmp(word, "--no-color") != 0 &&
	    strcmp(word, "--yes") != 0)
		return false;
	return true;
}

/* verify and recompute have options of the statement they send; each is the
 * word "name=value" that they take as well. */
static const struct query_option {
	const char *option, *name;
	const char *without;         /* Value when there is none; NULL: needed. */
} query_options[] = {
	{ "--sample", "sample", "0.1" }, { "--details", "details", "true" },
	{ "--summary", "details", "false" },
	{ "--dry-run", "dry_run", "true" }, { "--seed", "seed", NULL },
	{ "--from", "from", NULL }, { "--to", "to", NULL },
};

/* How many arguments it takes: 0 when ${w} is no such option. */
static int
take_query_option(struct tn_app_args *a, const char *w, const char *next)
{
	static char made[TN_COUNT(query_options)][128];
	size_t n = strcspn(w, "=");
	const char *value = w[n] == '=' ? w + n + 1 : NULL;
	bool number = next != NULL && next[0] >= '0' && next[0] <= '9';

	if (strcmp(a->command, "verify") != 0 &&
	    strcmp(a->command, "recompute") != 0)
		return 0;
	for (size_t i = 0; i < TN_COUNT(query_options); i++) {
		const struct query_option *q = &query_options[i];
		bool follows = value == NULL && (q->without == NULL ?
		    next != NULL : number && strcmp(q->name, "sample") == 0);
		if (strlen(q->option) != n || strncmp(w, q->option, n) != 0)
			continue;
		value = follows ? next : value != NULL ? value : q->without;
		if (value == NULL || strlen(value) + 16 > sizeof made[i])
			return 0;
		snprintf(made[i], sizeof made[i], "%s=%s", q->name, value);
		a->options[a->option_count++] = made[i];
		return follows ? 2 : 1;
	}
	return 0;
}

static int
usage(const char *what, const char *word)
{
	fprintf(stderr, "tarn: %s \"%s\"\n  hint: tarn help\n", what, word);
	return TN_EXIT_USAGE;
}

/* --name value and --name=value. */
static int
parse_args(struct tn_app_args *a, int argc, char **argv)
{
	char name[32];
	int taken;

	for (int i = 2; i < argc; i++) {
		char *w = argv[i], *eq = strchr(w, '=');
		if (w[0] != '-' || w[1] == '\0') {
			if (a->word_count == TN_COUNT(a->words))
				return usage("too many words at", w);
			a->words[a->word_count++] = w;
			continue;
		}
		if (take_flag(a, w))
			continue;
		taken = take_query_option(a, w, i + 1 < argc ? argv[i + 1] :
		    NULL);
		if (taken > 0) {
			i += taken - 1;
			continue;
		}
		if (eq != NULL && (size_t)(eq - w) < sizeof name) {
			snprintf(name, sizeof name, "%.*s", (int)(eq - w), w);
			if (take_option(a, name, eq + 1))
				continue;
		}
		if (i + 1 < argc && take_option(a, w, argv[i + 1])) {
			i++;
			continue;
		}
		return usage(i + 1 < argc ? "unknown option" :
		    "unknown option, or its value is missing,", w);
	}
	return TN_EXIT_OK;
}

static const char *
from_env(const char *name, const char *standard)
{
	const char *v = getenv(name);

	return v != NULL && v[0] != '\0' ? v : standard;
}

/* ---- commands -------------------------------------------------------- */

static int
show_version(const struct tn_app_args *a)
{
	(void)a;
	printf("tarn %s\n", TN_VERSION);
	return TN_EXIT_OK;
}

static int
show_help(const struct tn_app_args *a)
{
	struct tn_buf b = { 0 };
	const char *topic = a->word_count > 0 ? a->words[0] : "";

	if (strcmp(topic, "sql") == 0)
		tn_sql_help(&b);
	else if (strcmp(topic, "settings") == 0)
		tn_app_settings_help(&b);
	else if (strcmp(topic, "load") == 0)
		tn_buf_str(&b, load_help);
	else if (strcmp(topic, "objects") == 0)
		tn_app_objects_help(&b);
	else
		tn_buf_str(&b, overview);
	fputs(tn_buf_cstr(&b), stdout);
	tn_buf_fini(&b);
	return TN_EXIT_OK;
}

static int
run(const struct tn_app_args *a)
{
	return tn_app_run(a, false);
}

static int
demo(const struct tn_app_args *a)
{
	return tn_app_run(a, true);
}

static const struct command {
	const char *name;
	int (*run)(const struct tn_app_args *a);
	uint32_t takes;              /* Of the options. */
} commands[] = {
	{ "run", run, SERVER }, { "demo", demo, SERVER },
	{ "check", tn_app_check, 0 }, { "load", tn_app_load, ASKS },
	{ "sql", tn_app_sql, ASKS | FORMAT | OUTPUT },
	{ "cut", tn_app_batch, ASKS }, { "recompute", tn_app_batch, ASKS },
	{ "verify", tn_app_batch, ASKS }, { "token", tn_app_token, ASKS },
	{ "plan", tn_app_plan_command, ASKS | CONFIG | DATA | HTTP },
	{ "apply", tn_app_apply_command, ASKS | HTTP },
	{ "backup", tn_app_backup, ASKS | DATA | FORMAT },
	{ "restore", tn_app_restore, DATA },
	{ "doctor", tn_app_doctor, ASKS | CONFIG | DATA },
	{ "health", tn_app_health, ASKS | HTTP },
	{ "version", show_version, ~0u }, { "help", show_help, ~0u },
	{ "--version", show_version, ~0u }, { "--help", show_help, ~0u },
	{ "-h", show_help, ~0u },
};

/* An option that a command would not look at is refused: who verifies the
 * folder of --data must not be told that another one is good. */
static const struct {
	uint32_t bit;
	const char *name, *command;  /* NULL: any other one. */
	const char *hint;
} no_option[] = {
	{ CONFIG, "--config", "apply", "it takes the folder that the running "
	    "tarn was started with; change that one, tarn plan shows what it "
	    "would do" },
	{ CONFIG, "--config", "check", "write the folder alone: tarn check "
	    "DIR" },
	{ CONFIG, "--config", NULL, "a running tarn has the folder it was "
	    "started with: tarn run --config DIR" },
	{ DATA, "--data", "check", "it reads definitions only: tarn check "
	    "DIR" },
	{ DATA, "--data", NULL, "it asks a running tarn (--url); start one of "
	    "that folder: tarn run --data DIR" },
	{ HTTP, "--http", NULL, "--url says which running tarn is asked" },
	{ MQTT, "--mqtt", NULL, "it is for tarn run" },
	{ WEB_DIR, "--web-dir", NULL, "it is for tarn run" },
	{ URL, "--url", NULL, "it works on this machine and asks no running "
	    "tarn" },
	{ TOKEN, "--token-file", NULL, "it asks no running tarn" },
	{ FORMAT, "--format", "load", "what the file is like are words: "
	    "format=csv; tarn help load" },
	{ FORMAT, "--format", NULL, "it is for tarn sql; others have --json" },
	{ OUTPUT, "-o", NULL, "it is for tarn sql; write > FILE" },
	{ WAIT, "--wait", NULL, "it asks no running tarn" },
};

static int
refuse_option(const struct tn_app_args *a, uint32_t takes)
{
	uint32_t wrong = a->given & ~takes;

	for (size_t i = 0; i < TN_COUNT(no_option); i++) {
		if ((wrong & no_option[i].bit) == 0 ||
		    (no_option[i].command != NULL &&
		    strcmp(no_option[i].command, a->command) != 0))
			continue;
		fprintf(stderr, "tarn: %s takes no %s\n  hint: %s\n",
		    a->command, no_option[i].name, no_option[i].hint);
		return TN_EXIT_USAGE;
	}
	if (takes != SERVER && (takes & DATA) != 0 && (a->given & (DATA |
	    URL)) == (DATA | URL) && strcmp(a->command, "doctor") != 0) {
		fprintf(stderr, "tarn: %s takes --data or --url\n  hint: "
		    "--data is the folder of a stopped tarn, --url a running "
		    "one\n", a->command);
		return TN_EXIT_USAGE;
	}
	return TN_EXIT_OK;
}

/* So is a word that a command would not look at. */
static int
refuse_word(const struct tn_app_args *a)
{
	static const char *const without[] = { "run", "demo", "cut", "plan",
	    "apply", "doctor", "health", "version" };

	for (size_t i = 0; i < TN_COUNT(without) && a->word_count > 0; i++) {
		if (strcmp(a->command, without[i]) != 0)
			continue;
		fprintf(stderr, "tarn: %s takes no word \"%s\"\n  hint: tarn "
		    "help\n", a->command, a->words[0]);
		return TN_EXIT_USAGE;
	}
	return TN_EXIT_OK;
}

/* Differing letters at the same places: enough to find a slip. */
static const struct command *
nearest(const char *word)
{
	const struct command *best = NULL;
	size_t best_same = 1;

	for (size_t i = 0; i < TN_COUNT(commands); i++) {
		const char *name = commands[i].name;
		size_t same = 0;
		for (size_t k = 0; word[k] != '\0'; k++)
			same += strchr(name, word[k]) != NULL;
		for (size_t k = 0; word[k] != '\0' && name[k] == word[k]; k++)
			same++;
		if (name[0] != '-' && same > best_same &&
		    strlen(name) + 2 >= strlen(word)) {
			best = &commands[i];
			best_same = same;
		}
	}
	return best;
}

static int
unknown_command(const char *word)
{
	const struct command *c = nearest(word);

	fprintf(stderr, "tarn: there is no command \"%s\"\n", word);
	if (c != NULL)
		fprintf(stderr, "  hint: did you mean %s? ", c->name);
	else
		fprintf(stderr, "  hint: ");
	fprintf(stderr, "tarn help lists them\n");
	return TN_EXIT_USAGE;
}

int
main(int argc, char **argv)
{
	struct tn_app_args a = { .argv = argv, .data = from_env("TARN_DATA", "data"),
	    .config = from_env("TARN_CONFIG", NULL),
	    .http = from_env("TARN_HTTP", NULL),
	    .mqtt = from_env("TARN_MQTT", NULL),
	    .url = from_env("TARN_URL", NULL) };
	int64_t wait_us;
	int rc;

	if (argc < 2)
		return show_help(&a);
	a.command = argv[1];
	rc = parse_args(&a, argc, argv);
	if (rc != TN_EXIT_OK)
		return rc;
	for (size_t i = 0; i < TN_COUNT(commands); i++) {
		if (strcmp(a.command, commands[i].name) != 0)
			continue;
		if (a.help)
			return show_help(&a);
		rc = refuse_option(&a, commands[i].takes);
		if (rc == TN_EXIT_OK)
			rc = refuse_word(&a);
		if (rc == TN_EXIT_OK && !tn_app_follow_wait(&a, &wait_us))
			rc = TN_EXIT_USAGE;
		/* A word counts for more than TARN_URL. */
		if ((a.given & DATA) != 0 && (a.given & URL) == 0)
			a.url = NULL;
		return rc != TN_EXIT_OK ? rc : commands[i].run(&a);
	}
	return unknown_command(a.command);
}
