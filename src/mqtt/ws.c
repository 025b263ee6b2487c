/* ws: WebSocket frames around a connection (RFC 6455; MQTT 5.0 section 6). The
 * HTTP door has done the handshake. Packets may lie across frames and frames
 * may hold many packets; what is in binary frames is one stream of bytes.
 *
 *   HEAD --a whole head--> BODY --its bytes--> HEAD
 *
 * Pings are answered, a close is answered and closes. Text frames, unmasked
 * frames and broken heads close (MQTT-6.0.0-1). Memory: a head, and a control
 * frame of at most 125 bytes. */
#include "mqtt/mqtt_int.h"

#define HEAD_MAX 14
#define CONTROL_MAX 125
#define PIECE 4096

struct ws {
	uint8_t head[HEAD_MAX];
	size_t head_n;
	struct tn_codec_ws_frame frame;
	size_t done;                 /* Bytes of the frame's body so far. */
	bool in_body;
	bool in_message;             /* A binary message goes on. */
	uint8_t control[CONTROL_MAX];
};

struct ws *
tn_mqtt_ws_new(void)
{
	return tn_zalloc(sizeof(struct ws));
}

void
tn_mqtt_ws_free(struct ws *w)
{
	tn_free(w);
}

static void
send_frame(struct conn *c, enum tn_codec_ws_op op, struct tn_slice body)
{
	struct tn_buf head = { 0 };

	if (c->stream == NULL)
		return;
	tn_codec_ws_put(&head, op, body.n);
	tn_net_stream_write(c->stream, (struct tn_slice){ head.p, head.n });
	if (body.n > 0)
		tn_net_stream_write(c->stream, body);
	tn_buf_fini(&head);
}

void
tn_mqtt_ws_send(struct conn *c, struct tn_slice bytes)
{
	send_frame(c, TN_WS_BINARY, bytes);
}

static void
close_with(struct conn *c, uint16_t code)
{
	uint8_t body[2] = { (uint8_t)(code >> 8), (uint8_t)code };

	send_frame(c, TN_WS_CLOSE, (struct tn_slice){ body, 2 });
	tn_mqtt_conn_end(c, 0);
}

/* A whole control frame. */
static void
control(struct conn *c)
{
	struct ws *w = c->ws;
	struct tn_slice body = { w->control, w->frame.bytes };

	/* One that asks and does not read gets no answer: nothing grows. */
	if (w->frame.op == TN_WS_PING && tn_mqtt_conn_queued(c) <=
	    c->m->o.unsent_bytes_max)
		send_frame(c, TN_WS_PONG, body);
	else if (w->frame.op == TN_WS_CLOSE)
		close_with(c, 1000);
}

static bool
is_control(const struct ws *w)
{
	return w->frame.op >= TN_WS_CLOSE;
}

/* False: the frame may not come here, and the connection ends. */
static bool
begin_body(struct conn *c)
{
	struct ws *w = c->ws;

	w->in_body = true;
	w->done = 0;
	if (is_control(w))
		return true;
	if ((w->frame.op == TN_WS_MORE) != w->in_message ||
	    w->frame.op == TN_WS_TEXT) {
		close_with(c, w->frame.op == TN_WS_TEXT ? 1003 : 1002);
		return false;
	}
	w->in_message = !w->frame.last;
	return true;
}

/* Bytes into the head until it is whole. */
static bool
take_head(struct conn *c, struct tn_slice *in)
{
	struct ws *w = c->ws;
	enum tn_status st;

	tn_assert(w->head_n < HEAD_MAX && in->n > 0);
	w->head[w->head_n++] = *in->p++;
	in->n--;
	st = tn_codec_ws_head((struct tn_slice){ w->head, w->head_n },
	    SIZE_MAX / 2, &w->frame);
	if (st == TN_END)
		return true;
	w->head_n = 0;
	if (st != TN_OK) {
		close_with(c, st == TN_ELIMIT ? 1009 : 1002);
		return false;
	}
	return begin_body(c);
}

static void
take_body(struct conn *c, struct tn_slice *in)
{
	struct ws *w = c->ws;
	uint8_t piece[PIECE];
	size_t n = w->frame.bytes - w->done;

	if (n > in->n)
		n = in->n;
	if (n > PIECE)
		n = PIECE;
	if (n > 0) {
		memcpy(piece, in->p, n);
		tn_codec_ws_unmask(piece, n, w->frame.mask, w->done);
	}
	if (is_control(w))
		memcpy(w->control + w->done, piece, n);
	w->done += n;
	in->p += n;
	in->n -= n;
	if (!is_control(w) && n > 0)
		tn_mqtt_conn_bytes(c, (struct tn_slice){ piece, n });
}

void
tn_mqtt_ws_bytes(struct conn *c, struct tn_slice in)
{
	struct ws *w = c->ws;

	tn_mqtt_conn_ref(c);
	while (c->step != CONN_CLOSING) {
		if (w->in_body && w->done == w->frame.bytes) {
			w->in_body = false;
			if (is_control(w))
				control(c);
			continue;
		}
		if (in.n == 0)
			break;
		if (w->in_body)
			take_body(c, &in);
		else if (!take_head(c, &in))
			break;
	}
	tn_mqtt_conn_unref(c);
}
