/* A stand-in for the server, for work on the page alone: the API with data
 * that look like the demo's, SSE, and the same security headers.
 *
 *   node tests/web/mock.mjs [port] [--empty]
 *
 * Test bed only; it is not the contract (that is src/http). */
import http from 'node:http';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const web = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../web');
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types tarn";
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8',
	'.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.json': 'application/json' };
const HOUR = 3600e3;
const rooms = ['room-1', 'room-2', 'room-3', 'room-4'];

const col = (name, type, group) => ({ name, type, group: !!group, comment: null });
const defs = [
	{ name: 'people_now', cols: [col('hour', 'timestamptz', 1), col('room', 'text', 1), col('people', 'bigint')],
		o: { overview: 'tile', title: 'People inside', x: 'hour', y: 'people', series: 'room', unit: 'people', position: '1' } },
	{ name: 'co2_now', cols: [col('hour', 'timestamptz', 1), col('room', 'text', 1), col('co2', 'double precision')],
		o: { overview: 'tile', title: 'CO₂', x: 'hour', y: 'co2', series: 'room', unit: 'ppm', position: '2' } },
	{ name: 'readings_hourly', cols: [col('hour', 'timestamptz', 1), col('readings', 'bigint')],
		o: { overview: 'tile', title: 'Readings this hour', position: '3' } },
	{ name: 'entries_now', cols: [col('hour', 'timestamptz', 1), col('entries', 'bigint')],
		o: { overview: 'tile', title: 'Entries this hour', x: 'hour', y: 'entries', unit: 'entries', position: '3' } },
	{ name: 'rooms_total', cols: [col('room', 'text', 1), col('readings', 'bigint')],
		o: { overview: 'tile', title: 'Readings so far', y: 'readings', position: '4' } },
	{ name: 'occupancy_hourly', cols: [col('room', 'text', 1), col('hour', 'timestamptz', 1), col('people', 'double precision'), col('peak', 'integer')],
		o: { overview: 'line', title: 'Occupancy by room', x: 'hour', y: 'people', series: 'room', unit: 'people', position: '10' } },
	{ name: 'co2_hourly', cols: [col('room', 'text', 1), col('hour', 'timestamptz', 1), col('co2', 'double precision')],
		o: { overview: 'line', title: 'CO₂ by room', x: 'hour', y: 'co2', series: 'room', unit: 'ppm', position: '11' } },
	{ name: 'busy_heat', cols: [col('hour', 'timestamptz', 1), col('people', 'double precision')],
		o: { overview: 'heatmap', title: 'Busy hours', x: 'hour', y: 'people', unit: 'people', position: '12' } },
	{ name: 'readings_bars', cols: [col('hour', 'timestamptz', 1), col('readings', 'bigint')],
		o: { overview: 'bar', title: 'Readings by hour', x: 'hour', y: 'readings', position: '13' } },
	{ name: 'room_bars', cols: [col('room', 'text', 1), col('hour', 'timestamptz', 1), col('peak', 'integer')],
		o: { overview: 'bar', title: 'Peak in the newest hour', x: 'hour', y: 'peak', series: 'room', unit: 'people', position: '13' } },
	{ name: 'entries_hourly', cols: [col('hour', 'timestamptz', 1), col('entries', 'bigint')],
		o: { overview: 'line', title: 'Entries by hour', x: 'hour', y: 'entries', unit: 'entries', position: '13' } },
	{ name: 'latest', cols: [col('room', 'text', 1), col('hour', 'timestamptz', 1), col('people', 'double precision'), col('co2', 'double precision')],
		o: { overview: 'table', title: 'Rooms by hour', position: '14' } },
];

/** root: a tree made by packaging/assets.sh; without it the sources are
 * served as they are. */
export function start({ port = 0, empty = false, busy = false, root = null } = {}) {
	const state = { lsn: 1000, batch: 900, rows: new Map(), prov: new Map(), accepted: 0,
		quarantined: empty ? 0 : 3, duplicates: empty ? 0 : 12, tick: 0, events: [], runs: [], progress: true };
	/* raw[room][hour] = {n, people, peak, co2} */
	const hours = new Map();
	const raw = empty ? [] : load();
	const now = Math.floor(Date.now() / HOUR) * HOUR;
	const count = raw.length;
	let at = Math.max(0, count - 60 * 6);
	const timeOf = (i) => now - 6 * HOUR + (i - Math.max(0, count - 60 * 6)) * 60e3;
	for (let i = 0; i < at; i++)
		feed(i);
	state.prov.clear();

	function load() {
		const file = '/work/shared/data/sdu-rooms/sdu_wide.csv';
		if (fs.existsSync(file))
			return fs.readFileSync(file, 'utf8').trim().split('\n').slice(1).map((l) => {
				const f = l.split(',').map(Number);
				return { occ: [4, 5, 6, 7].map((k) => Number(l.split(',')[k])), co2: f.slice(8, 12) };
			}).slice(-60 * 24 * 21);
		return Array.from({ length: 60 * 24 * 10 }, (_, i) => {
			const h = i / 60 % 24;
			const busy = h > 8 && h < 17 ? 1 : .05;
			return { occ: rooms.map((_, r) => Math.round(busy * (10 + 8 * Math.sin(i / 50 + r)))),
				co2: rooms.map((_, r) => 400 + busy * 300 + 40 * Math.sin(i / 40 + r)) };
		});
	}
	function feed(i) {
		const t = Math.floor(timeOf(i) / HOUR) * HOUR;
		raw[i].occ.forEach((occ, r) => {
			const key = `${rooms[r]}|${t}`;
			const c = hours.get(key) || { room: rooms[r], t, n: 0, people: 0, peak: 0, co2: 0 };
			c.n++;
			c.people += occ;
			c.peak = Math.max(c.peak, occ);
			c.co2 += raw[i].co2[r];
			hours.set(key, c);
			state.prov.set(t, state.lsn + 1);
			state.accepted++;
		});
		state.lsn++;
		state.last = raw[i];
	}
	const iso = (t) => new Date(t).toISOString().replace('.000Z', 'Z');
	const round = (v) => Math.round(v * 100) / 100;
	function rowsOf(name, only) {
		const cells = [...hours.values()].filter((c) => only === undefined || c.t >= only);
		const byHour = new Map();
		for (const c of cells) {
			const h = byHour.get(c.t) || { people: 0, n: 0 };
			h.people += c.people / c.n;
			h.n += c.n;
			byHour.set(c.t, h);
		}
		switch (name) {
		case 'people_now': return cells.map((c) => [iso(c.t), c.room, Math.round(c.people / c.n)]);
		case 'co2_now': return cells.map((c) => [iso(c.t), c.room, round(c.co2 / c.n)]);
		case 'readings_bars':
		case 'readings_hourly': return [...byHour].map(([t, h]) => [iso(t), h.n]);
		case 'rooms_total': return rooms.map((r) => [r, [...hours.values()].filter((c) => c.room === r).reduce((n, c) => n + c.n, 0)]).filter((r) => r[1] > 0);
		case 'occupancy_hourly': return cells.map((c) => [c.room, iso(c.t), round(c.people / c.n), c.peak]);
		case 'co2_hourly': return cells.map((c) => [c.room, iso(c.t), round(c.co2 / c.n)]);
		case 'busy_heat': return [...byHour].map(([t, h]) => [iso(t), round(h.people)]);
		case 'room_bars': return cells.map((c) => [c.room, iso(c.t), c.peak]);
		/* Six weeks, so that there is something usual. */
		case 'entries_now':
		case 'entries_hourly': return empty ? [] : Array.from({ length: 24 * 42 }, (_, i) => now - (24 * 42 - 1 - i) * HOUR)
			.filter((t) => only === undefined || t >= only).map((t) => [iso(t), entriesAt(t)]);
		case 'latest': return cells.map((c) => [c.room, iso(c.t), round(c.people / c.n), round(c.co2 / c.n)]);
		default: return null;
		}
	}
	/* What a batch run knew of the hour that still fills is two less. */
	const entriesAt = (t) => Math.round(40 + 30 * Math.sin(t / HOUR / 24 * 6.28) + (t / HOUR / 168 % 7) * 3) + (t === now ? state.tick % 50 : 0);
	function corrections(name) {
		if (empty || !['occupancy_hourly', 'entries_hourly'].includes(name))
			return [];
		const t = now - 30 * HOUR;
		return [{ run: 199, at: iso(Date.now() - 47 * 60e3), key: name === 'entries_hourly' ? { hour: iso(t) } : { room: 'room-1', hour: iso(t) },
			column: name === 'entries_hourly' ? 'entries' : 'people', old: 61, new: 63 }];
	}
	function batch(name, from) {
		const a = answer(name, from);
		const at = a.columns.length - 1;
		return { ...a, provisional: [], rows: a.rows.map((r, i) => a.provisional.includes(i) && name === 'entries_hourly' ?
			[...r.slice(0, at), r[at] - 2] : r) };
	}
	function answer(name, only) {
		const d = defs.find((x) => x.name === name);
		const rows = rowsOf(name, only);
		const timeAt = d.cols.findIndex((c) => c.type === 'timestamptz');
		const provisional = [];
		rows.forEach((r, i) => {
			if (timeAt < 0 ? state.prov.size > 0 : state.prov.has(Date.parse(r[timeAt])) ||
			    (name.startsWith('entries') && Date.parse(r[timeAt]) === now))
				provisional.push(i);
		});
		return { view: name, columns: d.cols.map((c) => c.name), types: d.cols.map((c) => c.type),
			rows, provisional, lsn: state.lsn, batch_lsn: state.batch, truncated: false };
	}
	const stream = () => ({ name: 'readings', kind: 'stream', comment: 'Room sensors: counts, CO₂ and ventilation',
		columns: [
			{ name: 'reading_id', type: 'text', not_null: true, key: true, generated: false, default: null, comment: 'Set by the gateway' },
			{ name: 'ts', type: 'timestamptz', not_null: true, key: false, generated: false, default: null, comment: null },
			{ name: 'room', type: 'text', not_null: true, key: false, generated: false, default: null, comment: null },
			{ name: 'kind', type: 'text', not_null: true, key: false, generated: false, default: null, comment: 'What was measured' },
			{ name: 'value', type: 'double precision', not_null: false, key: false, generated: false, default: null, comment: null }],
		event_time: 'ts', key: ['reading_id'], checks: [{ name: 'readings_kind_check', text: "kind IN ('occupants', 'co2', 'damper')" },
			{ name: 'readings_value_check', text: 'value BETWEEN 0 AND 5000' }],
		dedupe_window_us: 604800e6, retention_us: 34560000e6, accepted: state.accepted, quarantined: state.quarantined,
		duplicates: state.duplicates, bytes: state.accepted * 90, rate: empty ? 0 : 8, last_at: state.accepted ? iso(Date.now()) : null,
		mqtt: ['rooms/{room}/{kind}'], next_offset: state.accepted, unknown_fields: ['fw_version'], silver: { files: 21, rows: state.accepted, bytes: 4e6 },
		bronze: { files: 21, rows: state.accepted + 15, bytes: 6e6 }, views: defs.map((d) => d.name) });
	const recent = (bad, limit = 100) => Array.from({ length: Math.min(limit, bad ? state.quarantined : Math.min(state.accepted, 120)) }, (_, i) => {
		const q = bad || i % 17 === 5;
		return { lsn: state.lsn - i, offset: state.accepted - i, received_at: iso(Date.now() - i * 480),
			status: q ? 'quarantined' : i % 23 === 7 ? 'duplicate' : 'accepted', line: 1, source: i % 3 ? 'http 127.0.0.1' : 'mqtt gw-2',
			code: q ? 'check_failed' : null, column: q ? 'value' : null, reason: q ? 'value BETWEEN 0 AND 5000 is false: value is -12' : null,
			raw: JSON.stringify({ reading_id: `r-${state.lsn - i}`, ts: iso(Date.now() - i * 480), room: rooms[i % 4], kind: 'co2', value: q ? -12 : 417.5 + i }) };
	});
	const status = () => ({ type: 'status', instance: 'SDU rooms (demo)', version: '0.1.0', uptime_s: 60, now: iso(Date.now()), ready: true,
		lsn: state.lsn, batch_lsn: state.batch, cut_at: iso(Date.now() - 60e3), tail_rows: (state.lsn - state.batch) * 4,
		log: { first: 1, last: state.lsn, bytes: 1e6, segments: 1, failure: null }, disk_free: 4e10, rss: 5e7,
		streams: [{ name: 'readings', accepted: state.accepted, quarantined: state.quarantined, duplicates: state.duplicates, rate: empty ? 0 : 8, last_at: state.accepted ? iso(Date.now()) : null }],
		loopback: true, auth: 'open', progress: !empty && state.tick < 40 ? { kind: 'demo', loaded: 800000 + state.tick * 10000, total: 1264311, text: 'Replaying sample data' } : null });
	/* A run a minute for 50 hours; one failed 47 hours ago. */
	for (let i = 0; busy && i < 3000; i++)
		state.runs.push({ id: 3300 - i, kind: 'cut', reason: 'timer', object: null, state: i === 2820 ? 'failed' : 'done', started_at: iso(Date.now() - i * 60e3 - 30e3), ended_at: iso(Date.now() - i * 60e3 - 29e3),
			seconds: 1, lsn_from: 1, lsn_to: 2, rows: 10, files: 1, changed: 0, detail: i === 2820 ? 'no space left on device' : null });
	for (let i = 0; !busy && i < 60; i++) {
		const begin = Date.now() - i * 47 * 60e3;
		state.runs.push({ id: 200 - i, kind: i % 9 === 4 ? 'compact' : 'cut', reason: i % 9 === 4 ? 'small files' : i % 13 === 3 ? 'asked' : 'timer', object: i % 9 === 4 ? 'readings' : null,
			state: i === 17 ? 'failed' : 'done', started_at: iso(begin), ended_at: iso(begin + 1400 + i * 9000), seconds: 1.4 + i * 9,
			lsn_from: 1000 - i * 10, lsn_to: 1010 - i * 10, rows: 5200 + i * 31, files: 3,
			views: i % 9 === 4 || i === 17 ? [] : defs.slice(0, 4 + i % 3).map((d, k) => [d.name, 400000 + k * 90000, 80000, 1200 + k, 5200 + i * 31, 12, 1, i % 7 === 2 && k === 0 ? 4 : 0]), changed: i % 7 === 2 ? 4 : 0, detail: i === 17 ? 'no space left on device; tried again 5 min later' : null });
	}
	/* A recompute that is under way until it is canceled. */
	const work = empty || busy ? null : { id: 300, kind: 'recompute', reason: 'request', object: 'entries_hourly', state: 'running', started_at: iso(Date.now() - 4000), ended_at: null,
		seconds: null, lsn_from: 0, lsn_to: 900, rows: 0, files: 0, changed: 0, detail: null, paused: false, rows_read: 81388, rows_total: 239004 };
	if (work)
		state.runs.unshift(work);
	function runsOf(limit, before) {
		asked.push(`/api/v1/runs ${limit} ${before}`);
		const list = state.runs.filter((r) => r.id < before).slice(0, limit);
		return { runs: list, next: list.length === limit ? list.at(-1).id : null };
	}
	const tiers = empty ? [] : [['bronze', 'readings', 21, 21, 6e6], ['silver', 'readings', 90, 40, 4e6], ...defs.map((d) => ['gold', d.name, 14, 14, 2e5])];
	const lake = (table) => ({ sequence: 7, lsn: state.batch, published_at: iso(Date.now() - 60e3), disk: { free: 71e9, size: 270e9, reserve: 268435456 },
		cold: empty ? null : { folder: '/srv/cold', ready: true, free: 4e12, size: 8e12 },
		tables: [...tiers, ...(empty ? [] : [['objects', 'objects', 12, 0, 3e7]])].map(([tier, name, files, small_files, bytes]) => ({ bytes_per_day: { bronze: 1234567, silver: -2048, objects: 5e6 }[tier] ?? null, tier, name, files, small_files, bytes, rows: files * 1000, cold_files: 0, cold_bytes: tier === 'silver' ? Math.round(bytes / 2) : 0, from: iso(now - 21 * 24 * HOUR), to: iso(now) })),
		...(table ? { partitions: tiers.filter((t) => t[1] === table).flatMap(([tier]) => Array.from({ length: 140 }, (_, i) => ({ tier, name: table,
			partition: iso(now - (139 - i) * 24 * HOUR).slice(0, 10), files: 1 + i % 3, rows: 900 + i * 7, bytes: 2e4 + i * i * 30 }))) } : {}),
		days: [], bytes_per_day: empty ? null : 1.3e6, days_left: empty ? null : 54000 });
	const fileList = (table, tier) => Array.from({ length: 30 }, (_, i) => ({ id: i + 1, tier, table, partition: iso(now - i * 24 * HOUR).slice(0, 10),
		path: `${tier}/${table}/date=${iso(now - i * 24 * HOUR).slice(0, 10)}/00000000004${i % 10}-1-0.parquet`, rows: 5760, bytes: 29000 + i * 11, crc: 'cafe1234',
		time_min: iso(now - i * 24 * HOUR), time_max: iso(now - i * 24 * HOUR + 3600e3), lsn_min: 1, lsn_max: 42, version: 1, snapshot: 7 - (i % 5), sort_by: ["room", "ts"] }));
	/* Why this number: of a view, the row that the filters choose. */
	function explain(name, q) {
		const d = defs.find((x) => x.name === name);
		const a = answer(name);
		const merged = a.rows.filter((r) => d.cols.every((c, i) => !q.has(c.name) || String(r[i]) === q.get(c.name))).slice(0, 20);
		return { view: name, version: 3, definition: `create materialized view ${name} as select 1`, stream: 'readings', columns: a.columns, merged, batch: merged.slice(0, 1), speed: [],
			gold: [{ path: `gold/${name}/date=2026-03-01/000000000042-1.parquet`, partition: '2026-03-01', rows: 24, version: 3, lsn: 42, run: 199 }],
			stream_columns: ['reading_id'], rows: merged.length === 0 ? [] : recent(false, 20).map((r) => ({ values: ['x'], ...r })), truncated: true, lsn: state.lsn, batch_lsn: state.batch };
	}
	const us = (ago_s) => (Date.now() - ago_s * 1000) * 1000;
	const client = (name, o = {}) => ({ client: name, peer: '127.0.0.1:50112', user: '', protocol: '3.1.1', connected: true, websocket: false, tls: false,
		since_us: us(3700), last_us: us(3), received: 1200 + state.tick, sent: 4, subscriptions: 1, queued: 0, inflight: 0, takeovers: 0, expiry_s: 0, ...o });
	const sender = (name, o = {}) => ({ client: name, stream: 'readings', protocol: '3.1.1', websocket: false, tls: false, accepted: 1200 + state.tick,
		quarantined: 2, duplicates: 0, first_us: us(3700), last_us: us(3), rate: 2.5, ...o });
	const broker = () => ({ port: 1883, tls_port: 8883, connections: empty ? 0 : 3, sessions: empty ? 0 : 4, subscriptions: empty ? 0 : 5, retained: empty ? 0 : 12,
		retained_bytes: empty ? 0 : 4300, queued_bytes: empty ? 0 : 90112, received: 5000, sent: 800, dropped: 0, refused: empty ? 0 : 2,
		received_rate: empty ? 0 : 7.4, sent_rate: empty ? 0 : 1.2, new_sources: true,
		clients: empty ? [] : [client('gw-2'), client('wall-display-in-the-entrance-hall-0001', { protocol: '5.0', websocket: true, user: 'display', received: 0 }),
			client('node-red', { protocol: '5.0', tls: true, takeovers: 3, subscriptions: 4 }), client('laptop', { connected: false, peer: '', protocol: '', last_us: us(90000), queued: 1204 })],
		sources: empty ? [] : [{ pattern: 'zigbee2mqtt/+', topic: 'zigbee2mqtt/0x00158d0001a2b3c4', payload: '{"temperature":21.5,"battery":97,"occupancy":true,"last_seen":"2026-03-01T10:00:00Z"}', count: 40, last_us: us(2) },
			{ pattern: 'meters/+/total', topic: 'meters/77/total', payload: '12.5', count: 3, last_us: us(30) },
			{ pattern: 'camera/snapshot', topic: 'camera/snapshot', payload: null, count: 1, last_us: us(300) }],
		senders: empty ? [] : [sender('gw-2'), sender('phone', { protocol: '5.0', websocket: true, rate: 0, last_us: us(4000) })] });
	const clients = new Set();
	const asked = [];
	const emit = (c, o) => c.res.write(`data: ${JSON.stringify(o)}\n\n`);
	function cut() {
		state.batch = state.lsn;
		state.prov.clear();
		for (const c of clients)
			for (const v of c.views)
				emit(c, { type: 'cut', view: v, batch_lsn: state.batch });
	}
	const timer = setInterval(() => {
		state.tick++;
		if (at < count) {
			const first = Math.floor(timeOf(at) / HOUR) * HOUR;
			feed(at++);
			for (const c of clients)
				for (const v of c.views) {
					const a = answer(v, first);
					delete a.provisional;
					emit(c, { ...a, type: 'rows' });
				}
		}
		if (state.tick % 2 === 0)
			for (const c of clients)
				emit(c, status());
		if (state.tick % 240 === 0)
			cut();
	}, 500);

	const json = (res, code, o, type = 'application/json') => {
		res.writeHead(code, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
		res.end(JSON.stringify(o));
	};
	function files(req, res, p) {
		const file = root ? path.join(root, p.startsWith('/assets/') ? p : 'index.html') : p.startsWith('/assets/') ? path.join(web, p.split('/').slice(3).join('/')) : path.join(web, 'index.html');
		if (!file.startsWith(root || web) || !fs.existsSync(file))
			return json(res, 404, { title: 'Not found' });
		res.writeHead(200, { 'content-type': types[path.extname(file)] || 'text/plain', 'content-security-policy': csp,
			'x-content-type-options': 'nosniff', 'referrer-policy': 'same-origin', 'cross-origin-opener-policy': 'same-origin' });
		res.end(fs.readFileSync(file));
	}
	const server = http.createServer((req, res) => {
		const u = new URL(req.url, 'http://x');
		const p = u.pathname;
		if (/^\/iceberg\/v1\/disk\/namespaces\/silver\/tables\/readings$/.test(p))
			return json(res, 200, { metadata: { location: 'file:///var/lib/tarn/lake/silver/readings' } });
		if (!p.startsWith('/api/'))
			return files(req, res, p);
		if (p === '/api/v1/live') {
			res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
			res.write('retry: 1000\n\n');
			const c = { res, views: u.searchParams.getAll('view') };
			for (const v of c.views)
				emit(c, { type: 'snapshot', ...answer(v) });
			emit(c, status());
			clients.add(c);
			req.on('close', () => clients.delete(c));
			return undefined;
		}
		if (p === '/api/v1/views')
			return json(res, 200, { views: defs.map((d) => ({ name: d.name, comment: null, stream: 'readings', sql: '', columns: d.cols,
				bucket: d.cols.some((c) => c.name === 'hour') ? 'hour' : null, bucket_us: d.cols.some((c) => c.name === 'hour') ? 3600e6 : null, options: d.o, version: 1, gold: { files: 1, rows: 1, bytes: 1 } })) });
		const why = /^\/api\/v1\/views\/(\w+)\/explain$/.exec(p);
		if (why) {
			asked.push(req.url);
			return json(res, 200, explain(why[1], u.searchParams));
		}
		if (p === '/api/v1/settings')
			return json(res, 200, { settings: [['cut_interval', '60 s'], ['snapshot_keep', '1 hour']].map(([name, value]) => ({ name, value, default: value, doc: '' })) });
		if (p === '/api/v1/schedule') {
			const value = u.searchParams.get('value'), every = value === '5 min' ? 300e3 : 60e3;
			asked.push(req.url);
			if (value !== null && !/^\d+ (s|min|hours?)$/.test(value))
				return json(res, 400, { type: '/problems/bad_setting', title: 'Bad Request', status: 400, detail: `"${value}" is no value for cut_interval`, hint: "write it like '60 s'" }, 'application/problem+json');
			const next = Array.from({ length: 5 }, (_, i) => iso(Date.now() + 30e3 + i * every));
			return json(res, 200, { schedules: value !== null ? [{ name: 'cut_interval', next }] : [{ editable: true, name: 'cut_interval', about: '', configured: '60 s', default: '60 s', set_at: null, source: 'default', value: '60 s', ...(state.set ? { value: state.set, source: 'alter system', set_at: iso(Date.now()) } : {}), next },
				{ editable: true, name: 'cut_rows', about: '', configured: '1000000', default: '1000000', source: 'default', set_at: null, value: '1000000', next: [] },
				{ editable: false, name: 'retention', table: 'readings', us: 34560000e6, next: [iso(now + 24 * HOUR), iso(now + 48 * HOUR)] }] });
		}
		if (p === '/api/v1/lake')
			return json(res, 200, lake(u.searchParams.get('table')));
		if (p === '/api/v1/files')
			return json(res, 200, { files: fileList(u.searchParams.get('table'), u.searchParams.get('tier')) });
		if (p === '/api/v1/snapshots')
			return json(res, 200, { snapshots: Array.from({ length: 7 }, (_, i) => ({ sequence: 7 - i, lsn: 900 - i * 100, published_at: iso(Date.now() - i * 60e3), run: i === 3 ? null : 200 - i, kind: i === 3 ? null : ['cut', 'compact', 'cut', '', 'recompute', 'cut', 'cut'][i], reason: i === 3 ? '' : 'timer', object: i === 4 ? 'co2_now' : '',
				files_added: 17, files_dropped: 8, files: 189 - i * 9, rows: 244164 - i * 1000, bytes: 6429828 })) });
		if (p === '/api/v1/verify')
			return json(res, 200, { equal: true, differences: 0, text: 'readings: 1000 rows are what bronze says\n' });
		if (p === '/api/v1/recompute') {
			asked.push(req.url);
			return u.searchParams.get('from') === 'never' ? json(res, 400, { type: '/problems/bad-time', title: 'Bad Request', status: 400, detail: '"never" is no time' }, 'application/problem+json') :
				json(res, 200, { run: u.searchParams.has('dry_run') ? null : 301, lsn: state.batch, rows: 81388, files: 17, text: u.searchParams.has('dry_run') ? 'would read 81388 rows in 17 files of silver, 0.3 MiB' : 'published 812 rows' });
		}
		const one = /^\/api\/v1\/views\/(\w+)(\/corrections)?$/.exec(p);
		if (one && defs.some((d) => d.name === one[1])) {
			asked.push(req.url);
			return json(res, 200, one[2] ? { corrections: corrections(one[1]) } :
				u.searchParams.get('layer') === 'batch' ? batch(one[1], Date.parse(u.searchParams.get('from'))) : answer(one[1]));
		}
		if (p === '/api/v1/streams')
			return json(res, 200, { streams: [stream()] });
		if (p === '/api/v1/streams/readings' && req.method === 'POST') {
			let body = '';
			req.on('data', (d) => { body += d; });
			req.on('end', () => {
				state.accepted++;
				json(res, 200, { accepted: 1, quarantined: 0, duplicates: 0, first_offset: 1, last_offset: 1, lsn: ++state.lsn, errors: [] });
			});
			return undefined;
		}
		if (p === '/api/v1/streams/readings')
			return json(res, 200, stream());
		if (p === '/api/v1/streams/readings/recent')
			return json(res, 200, { stream: 'readings', rows: recent(false, Number(u.searchParams.get('limit'))), lsn: state.lsn, batch_lsn: state.batch });
		if (p === '/api/v1/quarantine/readings')
			return json(res, 200, { stream: 'readings', rows: recent(true, Number(u.searchParams.get('limit'))), lsn: state.lsn, batch_lsn: state.batch });
		if (p === '/api/v1/runs')
			return json(res, 200, runsOf(Number(u.searchParams.get('limit') ?? 100), Number(u.searchParams.get('before') ?? 1e9)));
		if (p === '/api/v1/batch/run') {
			cut();
			return json(res, 200, { run: 201, lsn: state.lsn, rows: 420, files: 4 });
		}
		if (p === '/api/v1/status')
			return json(res, 200, status());
		if (p === '/api/v1/mqtt')
			return json(res, 200, broker());
		if (p === '/api/v1/session')
			return json(res, 200, { scope: 'admin', setup: false, loopback: true });
		if (p === '/api/v1/sql') {
			let body = '';
			req.on('data', (d) => { body += d; });
			req.on('end', () => {
				const set = /ALTER SYSTEM (SET|RESET) cut_interval(?: = '([^']+)')?/.exec(body);
				if (set) {
					asked.push(set[0]);
					state.set = set[2];
					return json(res, 200, { columns: ['name', 'value', 'detail'], types: [], rows: [['cut_interval', set[2] ?? '60 s', 'cut_interval is set']] });
				}
				const call = /CALL (\w+)\(300\)/.exec(body);
				if (!call || !work)
					return select();
				asked.push(call[0]);
				work.paused = call[1] === 'pause';
				if (call[1] === 'cancel')
					Object.assign(work, { state: 'failed', detail: 'canceled', rows_read: undefined, rows_total: undefined, paused: undefined });
				return json(res, 200, { columns: [], types: [], rows: [], lsn: state.lsn });
			});
			const select = () => (/selec |^$/.test(body) ? json(res, 400, { type: '/problems/syntax_error', title: 'Syntax error', status: 400, detail: 'syntax error at or near "selec"', hint: 'a query begins with SELECT', line: 1, column: 1, position: 1 }, 'application/problem+json') :
				json(res, 200, answer('occupancy_hourly', now - 48 * HOUR)));
			return undefined;
		}
		return json(res, 404, { type: '/problems/not_found', title: 'Not found', status: 404, detail: `there is no ${p}`, hint: 'GET /api/openapi.json lists the paths' }, 'application/problem+json');
	});
	return new Promise((done) => server.listen(port, '127.0.0.1', () => done({
		url: `http://127.0.0.1:${server.address().port}`, port: server.address().port,
		clients: () => clients.size, asked, cut,
		stop: () => new Promise((r) => {
			clearInterval(timer);
			for (const c of clients)
				c.res.destroy();
			server.closeAllConnections();
			server.close(r);
		}) })));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const m = await start({ port: Number(process.argv[2]) || 8421, empty: process.argv.includes('--empty') });
	console.log(m.url);
}
