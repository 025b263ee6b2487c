/* wrap: tn_mqtt_store_put tn_mqtt_store_drop tn_mqtt_store_sync tn_mqtt_store_sync_patient tn_mqtt_store_each tn_mqtt_now_us */
/* The setting mqtt_bridge: what is read, what is refused and how, what is
 * shown, and that no text whatever makes it read beyond or show a password. */
#include "mqtt_help.h"

static struct tn_mqtt_bridges *
good(const char *text)
{
	struct tn_mqtt_bridges *all = NULL;
	struct tn_diag d = { 0 };

	if (tn_mqtt_bridges_parse(&all, text, &d) != TN_OK)
		fail_msg("%s: %s", text, d.message);
	return all;
}

static void
bad(const char *text, const char *word)
{
	struct tn_mqtt_bridges *all = NULL;
	struct tn_diag d = { 0 };

	assert_int_equal(tn_mqtt_bridges_parse(&all, text, &d), TN_EINVAL);
	assert_null(all);
	assert_string_equal(d.code, "bad_setting");
	if (strstr(d.message, word) == NULL)
		fail_msg("%s: \"%s\" has no \"%s\"", text, d.message, word);
	assert_non_null(strstr(d.hint, "mqtt://user:password@host"));
	assert_null(strstr(d.message, "s3cret"));
}

/* Every word of one bridge is where it belongs. */
static void
reads_all_words(void **state)
{
	struct tn_mqtt_bridges *all = good("mqtts://an%20na:a%3Ab@c@mill.example:"
	    "8884 client=tarn-1 topics=zigbee2mqtt/#,+/tele%2C/x qos=2 "
	    "version=3.1.1 keep_alive=30 ca=/etc/ca.pem");
	const struct tn_mqtt_bridge *b = all->items;

	(void)state;
	assert_int_equal(all->count, 1);
	assert_true(b->tls);
	assert_string_equal(b->user, "an na");
	assert_string_equal(b->password, "a:b@c");
	assert_string_equal(b->address, "mill.example:8884");
	assert_string_equal(b->client, "tarn-1");
	assert_string_equal(b->name, "tarn-1@mill.example:8884");
	assert_int_equal(b->topic_count, 2);
	assert_string_equal(b->topics[0], "zigbee2mqtt/#");
	assert_string_equal(b->topics[1], "+/tele,/x");
	assert_int_equal(b->qos, 2);
	assert_int_equal(b->version, 4);
	assert_int_equal(b->keep_alive_s, 30);
	assert_string_equal(b->ca_file, "/etc/ca.pem");
	tn_mqtt_bridges_free(all);
}

/* What is left out has its default; several are separated by ';'. */
static void
has_defaults(void **state)
{
	struct tn_mqtt_bridges *all = good(" mqtt://[::1] client=a topics=x;\n"
	    "mqtts://me@h client=a topics=y password_file=/p ; ");

	(void)state;
	assert_int_equal(all->count, 2);
	assert_string_equal(all->items[0].address, "[::1]:1883");
	assert_null(all->items[0].user);
	assert_null(all->items[0].password);
	assert_int_equal(all->items[0].qos, 1);
	assert_int_equal(all->items[0].version, 0);
	assert_int_equal(all->items[0].keep_alive_s, 60);
	assert_string_equal(all->items[1].address, "h:8883");
	assert_string_equal(all->items[1].user, "me");
	assert_string_equal(all->items[1].password_file, "/p");
	tn_mqtt_bridges_free(all);
	all = good("");
	assert_int_equal(all->count, 0);
	tn_mqtt_bridges_free(all);
}

/* Each mistake is named, with a hint and without the password. */
static void
refuses(void **state)
{
	char many[2000] = "";

	(void)state;
	bad("host client=a topics=b", "must begin with mqtt://");
	bad("http://u:s3cret@h client=a topics=b", "must begin with");
	bad("mqtt://", "a host is missing");
	bad("mqtt://u:s3cret@ client=a topics=b", "host is missing");
	bad("mqtt://:s3cret@h client=a topics=b", "user name");
	bad("mqtt://u:s3cret%4@h client=a topics=b", "%XX in the password");
	bad("mqtt://u:s3cret%00@h client=a topics=b", "%XX in the password");
	bad("mqtt://u:s3cret@h:0 client=a topics=b", "bad port");
	bad("mqtt://u:s3cret@h:65536 client=a topics=b", "bad port");
	bad("mqtt://h: client=a topics=b", "bad port");
	bad("mqtt://[::1 client=a topics=b", "host is missing");
	bad("mqtt://[::1]x:1 client=a topics=b", "bad host");
	bad("mqtt://h/x client=a topics=b", "bad host");
	bad("mqtt://h topics=b", "client= is missing");
	bad("mqtt://h client= topics=b", "client identifier");
	bad("mqtt://h client=a", "topics= is missing");
	bad("mqtt://h client=a topics=a/#/b", "not a topic filter");
	bad("mqtt://h client=a topics=a,,b", "not a topic filter");
	bad("mqtt://h client=a topics=b qos=3", "qos is 0, 1 or 2");
	bad("mqtt://h client=a topics=b version=4", "version is 5 or 3.1.1");
	bad("mqtt://h client=a topics=b keep_alive=4", "keep_alive");
	bad("mqtt://h client=a topics=b ca=/x", "goes with mqtts://");
	bad("mqtt://h client=a topics=b password_file=/x", "password_file=");
	bad("mqtt://u:s3cret@h client=a topics=b password_file=/x", "without");
	bad("mqtt://h client=a topics=b password=s3cret", "but not");
	bad("mqtt://h client=a topics=b qos", "but not");
	bad("mqtt://h client=a topics=b; mqtt://h:1883 client=a topics=c",
	    "twice");
	for (int i = 0; i < 17; i++)
		(void)snprintf(many + strlen(many), sizeof many -
		    strlen(many), "mqtt://h%d client=a topics=b;", i);
	bad(many, "more than 16");
}

static void
shows(const char *text, const char *shown)
{
	struct tn_buf out = { 0 };

	tn_mqtt_bridges_shown(&out, text);
	assert_string_equal(tn_buf_cstr(&out), shown);
	tn_buf_fini(&out);
}

/* What pages show has *** for each password and is else the same. */
static void
masks_passwords(void **state)
{
	(void)state;
	shows("", "");
	shows("mqtt://h client=a topics=b", "mqtt://h client=a topics=b");
	shows("mqtt://u@h:1 client=a topics=b", "mqtt://u@h:1 client=a topics=b");
	shows("mqtt://u:p@q:r@h:1 client=a topics=b",
	    "mqtt://u:***@h:1 client=a topics=b");
	shows("mqtt://u:p@h client=a topics=b;mqtts://v:q@i  client=c topics=d",
	    "mqtt://u:***@h client=a topics=b;mqtts://v:***@i  client=c "
	    "topics=d");
	/* Only what is an address. */
	shows("mqtt://h client=x://a:b@c topics=b ; mqtt://u:p@h client=a "
	    "topics=://:p@", "mqtt://h client=x://a:b@c topics=b ; "
	    "mqtt://u:***@h client=a topics=://:p@");
}

/* Texts changed at random are read or refused; of those that are read no
 * password is shown. */
static void
survives_any_text(void **state)
{
	static const char *const seeds[] = {
		"mqtt://u:s3cret@h:1883 client=a topics=b,c/# qos=1",
		"mqtts://u:s3cret@[::1]:1 client=a%20 topics=%41 ca=/x;"
		"mqtt://u:an0ther@h client=b topics=x",
	};
	uint32_t read = 0;

	(void)state;
	take_seed(7);
	for (int i = 0; i < 20000; i++) {
		char text[200];
		struct tn_mqtt_bridges *all = NULL;
		struct tn_diag d = { 0 };
		struct tn_buf out = { 0 };
		size_t n;

		(void)snprintf(text, sizeof text, "%s", seeds[rnd(2)]);
		n = strlen(text);
		for (uint32_t k = rnd(4); k > 0; k--)
			text[rnd((uint32_t)n)] = "@:;%/ =,[]#a1\xc3"[rnd(14)];
		text[n - rnd(3)] = '\0';
		if (tn_mqtt_bridges_parse(&all, text, &d) != TN_OK)
			continue;
		read++;
		tn_mqtt_bridges_shown(&out, text);
		for (uint32_t k = 0; k < all->count; k++) {
			char shown[200];
			if (all->items[k].password == NULL)
				continue;
			(void)snprintf(shown, sizeof shown, ":%s",
			    all->items[k].password);
			if (strlen(shown) > 4 && strstr(tn_buf_cstr(&out),
			    shown) != NULL)
				fail_msg("%s is shown as %s", text,
				    tn_buf_cstr(&out));
		}
		tn_buf_fini(&out);
		tn_mqtt_bridges_free(all);
	}
	assert_true(read > 100);
}

/* Names of bridges' sessions are told from clients'. */
static void
knows_names(void **state)
{
	(void)state;
	assert_true(tn_mqtt_bridge_name(tn_slice_of("$bridge/a@h:1")));
	assert_false(tn_mqtt_bridge_name(tn_slice_of("$bridge")));
	assert_false(tn_mqtt_bridge_name(tn_slice_of("bridge/a")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_all_words),
		cmocka_unit_test(has_defaults),
		cmocka_unit_test(refuses),
		cmocka_unit_test(masks_passwords),
		cmocka_unit_test(survives_any_text),
		cmocka_unit_test(knows_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
