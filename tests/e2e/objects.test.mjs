// Objects: files by name over HTTP, beside the stream that tells of them. Real
// images in four formats; ranges; conditions; many writers of one name; kill -9
// at every named step, after which each acknowledged object is whole, its event
// is there exactly once, and nothing else lies in the folder; a large object in
// bounded memory.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { deflateSync, crc32 } from 'node:zlib';
import { Tarn, baseSeed, command, rng, tempDir, until } from './lib.mjs';

const sql = `
CREATE TABLE entry (id text PRIMARY KEY, ts timestamptz NOT NULL, photo text) WITH (event_time = 'ts');
CREATE MATERIALIZED VIEW photos AS SELECT bucket, content_type, count(*) AS n, sum(bytes) AS bytes
  FROM objects WHERE action = 'put' GROUP BY bucket, content_type;`;
const sha = (b) => createHash('sha256').update(b).digest('hex');
const path = (name) => `/api/v1/objects/${name.split('/').map(encodeURIComponent).join('/')}`;
const put = (t, name, body, headers = {}) => t.call('PUT', path(name), Buffer.from(body), headers);
const get = async (t, name, headers = {}, method = 'GET') => {
  const r = await t.fetch(path(name), { method, headers });
  return { status: r.status, headers: r.headers, body: Buffer.from(await r.arrayBuffer()) };
};
/** All contents below DATA/lake/objects, and what lies in tmp. */
function contents(data) {
  const root = join(data, 'lake/objects'), out = [];
  for (const a of readdirSync(root).filter((x) => x !== 'tmp'))
    for (const b of readdirSync(join(root, a)))
      for (const f of readdirSync(join(root, a, b))) out.push(f);
  return { files: out.sort(), tmp: readdirSync(join(root, 'tmp')) };
}
const rows = (t) => t.sql('SELECT action, bucket, key, sha256, bytes FROM objects ORDER BY uploaded_at LIMIT 10000');

// ---- images -------------------------------------------------------------------

const chunk = (type, data) => {
  const head = Buffer.alloc(8), tail = Buffer.alloc(4);
  head.writeUInt32BE(data.length);
  head.write(type, 4);
  tail.writeUInt32BE(crc32(Buffer.concat([Buffer.from(type), data])));
  return Buffer.concat([head, data, tail]);
};
function png(width, height) {
  const ihdr = Buffer.alloc(13);
  ihdr.writeUInt32BE(width);
  ihdr.writeUInt32BE(height, 4);
  ihdr.set([8, 0, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', ihdr),
    chunk('IDAT', deflateSync(Buffer.alloc((width + 1) * height, 0))), chunk('IEND', Buffer.alloc(0))]);
}
const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64');
const webp = Buffer.from('UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA', 'base64');
const jpegPlain = Buffer.from('/9j/4AAQSkZJRgABAQEASABIAAD/2wBDAP//////////////////////////////////////////////////////////////////////////////////////wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA=', 'base64');
/** An Exif segment as cameras write it: little-endian, IFD0 leads to Exif's own. */
function jpeg(taken, offset) {
  const tiff = Buffer.alloc(26 + 2 + 2 * 12 + 4 + 32);
  tiff.write('II*\0', 0, 'latin1');
  tiff.writeUInt32LE(8, 4);
  tiff.writeUInt16LE(1, 8);
  tiff.writeUInt16LE(0x8769, 10); tiff.writeUInt16LE(4, 12); tiff.writeUInt32LE(1, 14); tiff.writeUInt32LE(26, 18);
  tiff.writeUInt16LE(2, 26);
  tiff.writeUInt16LE(0x9003, 28); tiff.writeUInt16LE(2, 30); tiff.writeUInt32LE(20, 32); tiff.writeUInt32LE(56, 36);
  tiff.writeUInt16LE(0x9011, 40); tiff.writeUInt16LE(2, 42); tiff.writeUInt32LE(offset ? 7 : 0, 44); tiff.writeUInt32LE(76, 48);
  tiff.write(taken + '\0', 56, 'latin1');
  tiff.write((offset ?? '') + '\0', 76, 'latin1');
  const body = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]), head = Buffer.from([0xff, 0xe1, 0, 0]);
  head.writeUInt16BE(body.length + 2, 2);
  return Buffer.concat([jpegPlain.subarray(0, 2), head, body, jpegPlain.subarray(2)]);
}

test('images tell their type, size and time, and SQL and views see them', async () => {
  const t = await new Tarn({ sql }).start();
  const files = {
    'photos/2026/eingang süd/1.jpg': [jpeg('2026:03:01 09:30:00', '+01:00'), 'image/jpeg', 1, 1, '2026-03-01T08:30:00Z', '+01:00'],
    'photos/2.jpg': [jpeg('2026:03:01 09:30:00'), 'image/jpeg', 1, 1, '2026-03-01T09:30:00Z', null],
    'photos/3.png': [png(640, 480), 'image/png', 640, 480, null, null],
    'photos/4.gif': [gif, 'image/gif', 1, 1, null, null],
    'photos/5.webp': [webp, 'image/webp', 1, 1, null, null],
    'photos/6.txt': [Buffer.from('just words'), 'text/plain', null, null, null, null],
    'photos/empty': [Buffer.alloc(0), 'application/x-nothing', null, null, null, null],
    'photos/lie.png': [Buffer.from('<script>alert(1)</script>'), 'text/html', null, null, null, null],
  };
  for (const [name, [body, type, width, height, taken, offset]] of Object.entries(files)) {
    const r = await put(t, name, body, { 'content-type': type, 'x-tarn-meta-Door': 'north', 'x-tarn-meta-note': 'a "b" \\ c' });
    assert.equal(r.status, 201, JSON.stringify(r.body));
    assert.equal(r.headers.get('etag'), `"${sha(body)}"`);
    const { uploaded_at, lsn, ...told } = r.body;
    assert.deepEqual(told, { bucket: 'photos', key: name.slice(7), sha256: sha(body), bytes: body.length, content_type: type, width, height,
      taken_at: taken, taken_offset: offset, metadata: { door: 'north', note: 'a "b" \\ c' } });
    assert.ok(Math.abs(Date.parse(uploaded_at) - Date.now()) < 60000 && lsn > 0);
    const back = await get(t, name);
    assert.equal(back.status, 200);
    assert.deepEqual(back.body, body);
    assert.equal(back.headers.get('content-type'), type);
    assert.equal(back.headers.get('x-content-type-options'), 'nosniff');
    assert.match(back.headers.get('content-security-policy'), /sandbox/);
    assert.match(back.headers.get('content-disposition'), type.startsWith('image/') ? /^inline/ : /^attachment/);
    assert.equal(back.headers.get('x-tarn-meta-note'), 'a "b" \\ c');
  }
  // By content, whatever the name.
  const byHash = await get(t, `by-hash/${sha(gif)}`);
  assert.deepEqual([byHash.status, byHash.headers.get('content-type')], [200, 'image/gif']);
  assert.deepEqual(byHash.body, gif);
  // Events refer to them.
  await t.post('entry', JSON.stringify({ id: '1', ts: '2026-03-01T08:30:05Z', photo: 'photos/3.png' }));
  const [entry] = await t.sql('SELECT photo FROM entry');
  assert.equal((await get(t, entry.photo)).body.length, png(640, 480).length);
  const check = async () => {
    const seen = await t.sql(`SELECT key, width, height, content_type, taken_at, metadata, bytes FROM objects WHERE bucket = 'photos'`);
    assert.equal(seen.length, 8);
    const one = seen.find((x) => x.key === '2026/eingang süd/1.jpg');
    assert.deepEqual([one.width, one.taken_at, one.metadata], [1, '2026-03-01T08:30:00Z', { door: 'north', note: 'a "b" \\ c' }]);
    const view = await t.view('photos');
    assert.equal(view.find((x) => x.content_type === 'image/jpeg').n, 2);
  };
  await check();
  await t.cut();
  await check();
  const v = await t.verify();
  assert.equal(v.equal, true);
  assert.match(v.text, /^equal +stream objects: bronze 8 = silver 8 /m);
  // Lists, in order, in pages.
  const keys = [];
  for (let after = ''; ;) {
    const l = await t.ok('GET', `/api/v1/objects/photos?limit=3&after=${encodeURIComponent(after)}`);
    keys.push(...l.objects.map((o) => o.key));
    if (l.next === null) break;
    after = l.next;
  }
  assert.deepEqual(keys, Object.keys(files).map((x) => x.slice(7)).sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  assert.deepEqual((await t.ok('GET', '/api/v1/objects/photos?prefix=2026/&after=1')).objects.map((o) => o.key), ['2026/eingang süd/1.jpg']);
  assert.deepEqual((await t.ok('GET', '/api/v1/objects/photos?prefix=2026/&after=3')).objects, []);
  assert.deepEqual((await t.ok('GET', '/api/v1/objects')).buckets.map((b) => [b.bucket, b.objects]), [['photos', 8]]);
  // The lake's page and forecast count them.
  const kept = (await t.ok('GET', '/api/v1/objects')).buckets[0], lake = await t.ok('GET', '/api/v1/lake');
  assert.deepEqual(lake.tables.filter((x) => x.tier === 'objects').map((x) => [x.name, x.files, x.bytes]), [['objects', 8, kept.bytes]]);
  assert.ok(kept.bytes > 0 && lake.bytes_per_day === null, 'less than an hour of it');
  assert.deepEqual((await t.ok('GET', '/api/v1/objects/nothing-here')).objects, []);
  await t.restart();
  await check();
  assert.deepEqual((await get(t, 'photos/3.png')).body, png(640, 480));
  assert.equal((await t.stop()).code, 0);
});

test('ranges, conditions, checksums, names', async () => {
  const t = await new Tarn({ sql, }).start();
  assert.equal((await t.ok('GET', '/api/v1/objects/no%22name')).bucket, 'no"name');
  const body = randomBytes(700000), tag = `"${sha(body)}"`;
  assert.equal((await put(t, 'files/a.bin', body, { 'if-none-match': '*', 'x-tarn-sha256': sha(body).toUpperCase(), 'content-md5': createHash('md5').update(body).digest('base64') })).status, 201);
  const range = async (r, more = {}) => {
    const a = await get(t, 'files/a.bin', { range: r, ...more });
    return [a.status, a.headers.get('content-range'), a.body];
  };
  for (const [r, first, last] of [['bytes=0-0', 0, 0], ['bytes=100-299999', 100, 299999], ['bytes=699999-', 699999, 699999], ['bytes=-5', 699995, 699999], ['bytes=0-99999999999999999999999', 0, 699999], ['bytes=-9999999', 0, 699999]]) {
    const [status, where, got] = await range(r);
    assert.deepEqual([status, where], [206, `bytes ${first}-${last}/700000`], r);
    assert.deepEqual(got, body.subarray(first, last + 1), r);
  }
  for (const r of ['bytes=700000-', 'bytes=-0', 'bytes=99999999999999999999999-'])
    assert.deepEqual((await range(r)).slice(0, 2), [416, 'bytes */700000'], r);
  for (const r of ['bytes=0-1,5-6', 'lines=1-2', 'bytes=5-2', 'bytes=', 'bytes=a-b', 'bytes=1-2x'])
    assert.deepEqual((await range(r)).slice(0, 2), [200, null], r);
  assert.equal((await range('bytes=0-9', { 'if-range': tag }))[0], 206);
  assert.equal((await range('bytes=0-9', { 'if-range': '"other"' }))[0], 200);
  assert.equal((await range('bytes=0-9', { 'if-range': new Date().toUTCString() }))[0], 200);
  assert.equal((await get(t, 'files/a.bin', { 'if-none-match': `"x", W/${tag}` })).status, 304);
  assert.equal((await get(t, 'files/a.bin', { 'if-match': '"x"' })).status, 412);
  assert.equal((await get(t, 'files/a.bin', { 'if-match': `"x", ${tag}` })).status, 200);
  const head = await get(t, 'files/a.bin', { range: 'bytes=0-9' }, 'HEAD');
  assert.deepEqual([head.status, head.headers.get('content-length'), head.headers.get('accept-ranges'), head.headers.get('etag'), head.body.length], [200, '700000', 'bytes', tag, 0]);

  assert.equal((await put(t, 'files/a.bin', 'x', { 'if-none-match': '*' })).status, 412);
  assert.equal((await put(t, 'files/a.bin', 'x', { 'if-match': `"${sha('y')}"` })).status, 412);
  assert.equal((await put(t, 'files/none', 'x', { 'if-match': '*' })).status, 412);
  assert.equal((await put(t, 'files/a.bin', 'x', { 'if-match': `W/${tag}` })).status, 412, 'a weak tag never matches');
  assert.equal((await put(t, 'files/a.bin', body, { 'if-match': tag })).status, 200);
  assert.equal((await put(t, 'files/b', 'x', { 'x-tarn-sha256': sha('y') })).status, 422);
  assert.equal((await put(t, 'files/b', 'x', { 'content-md5': createHash('md5').update('y').digest('base64') })).status, 422);
  assert.equal((await get(t, 'files/b')).status, 404);
  for (const headers of [{ 'x-tarn-sha256': 'zz' }, { 'x-tarn-sha256': 'z'.repeat(64) }, { 'content-md5': 'short' }, { 'if-none-match': '"x"' }, Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`x-tarn-meta-m${i}`, '1'])), { 'x-tarn-meta-long': 'x'.repeat(5000) }])
    assert.equal((await put(t, 'files/b', 'x', headers)).status, 400, JSON.stringify(headers).slice(0, 80));
  assert.equal((await put(t, 'files/b', 'x', { 'content-encoding': 'gzip' })).status, 415);
  assert.equal((await put(t, 'files/b', 'x', { 'content-range': 'bytes 0-0/5' })).body.type, '/problems/partial-put');
  assert.equal((await put(t, 'files/' + 'k'.repeat(400), 'x')).status, 201);
  // Raw paths: fetch would tidy them.
  const raw = (method, p) => new Promise((done, fail) => {
    const q = request({ port: t.port, host: '127.0.0.1', method, path: p, headers: method === 'PUT' ? { 'content-length': 1 } : {} }, (r) => { r.resume(); r.on('end', () => done(r.statusCode)); });
    q.on('error', fail);
    q.end(method === 'PUT' ? 'x' : undefined);
  });
  for (const bad of ['files/..', 'files/%2e%2e/a', 'files/a/../b', 'files/a//b', 'files//a', 'files/a/', 'files/./a', 'files/a%5cb', 'files/' + 'k'.repeat(401), 'Files/a', 'fi/a', '.hid/a', 'by-hash/x', '%2e%2e/%2e%2e/etc', 'fi%20les/a', 'a'.repeat(64) + '/x'])
    assert.ok([400, 404, 405].includes(await raw('PUT', `/api/v1/objects/${bad}`)), bad);
  for (const bad of ['files/..', 'files/%2e%2e/%2e%2e/objects.mdb', 'by-hash/' + 'z'.repeat(64), 'by-hash/..', 'by-hash/' + '0'.repeat(64)])
    assert.equal(await raw('GET', `/api/v1/objects/${bad}`), 404, bad);
  assert.equal(await raw('PUT', '/api/v1/objects/files/%00a'), 400);
  assert.equal((await t.call('PUT', path('files/q') + '?x=1', 'x')).status, 400, 'unknown parameters are refused');

  // Delete: the name at once, the content after snapshot_keep; erase: both at once.
  assert.equal((await t.call('DELETE', path('files/none'))).status, 404);
  await put(t, 'files/twin', body);
  let gone = await t.ok('DELETE', path('files/a.bin') + '?erase=1');
  assert.deepEqual([gone.names_left, gone.erased], [1, false], 'another name still has it');
  assert.equal((await get(t, 'files/a.bin')).status, 404);
  assert.deepEqual((await get(t, 'files/twin')).body, body);
  gone = await t.ok('DELETE', path('files/twin') + '?erase=1');
  assert.deepEqual([gone.names_left, gone.erased], [0, true]);
  assert.ok(!contents(t.data).files.includes(sha(body)));
  assert.equal((await get(t, `by-hash/${sha(body)}`)).status, 404);
  await put(t, 'files/soft', 'soft');
  await t.ok('DELETE', path('files/soft'));
  assert.equal((await get(t, 'files/soft')).status, 404);
  assert.equal((await get(t, `by-hash/${sha('soft')}`)).status, 200, 'kept for old snapshots');
  const seen = await rows(t);
  assert.deepEqual(seen.filter((x) => x.action === 'delete').map((x) => x.key), ['a.bin', 'twin', 'soft']);
  assert.equal((await t.stop()).code, 0);
});

test('who may, and how large', async () => {
  const password = join(tempDir('pw'), 'password');
  writeFileSync(password, 'correct horse battery');
  const t = await new Tarn({ sql: `${sql} ALTER SYSTEM SET object_bytes_max = '100 KiB'; ALTER SYSTEM SET object_uploads_max = '2';`, env: { TARN_ADMIN_PASSWORD_FILE: password } }).start();
  const login = await t.call('POST', '/api/v1/login', JSON.stringify({ password: 'correct horse battery' }), { 'content-type': 'application/json' });
  const admin = { cookie: login.headers.get('set-cookie').split(';')[0], origin: t.url };
  const token = {};
  for (const scope of ['ingest', 'read', 'admin'])
    token[scope] = { authorization: `Bearer ${(await t.call('POST', '/api/v1/tokens', JSON.stringify({ name: scope, scope }), { ...admin, 'content-type': 'application/json' })).body.token}` };
  const may = { PUT: ['ingest', 'admin'], GET: ['read', 'admin'], HEAD: ['read', 'admin'], DELETE: ['admin'] };
  for (const method of ['PUT', 'GET', 'HEAD', 'DELETE']) {
    assert.equal((await t.fetch(path('files/a'), { method, body: method === 'PUT' ? 'x' : undefined })).status, 401, method);
    for (const scope of ['ingest', 'read', 'admin']) {
      await put(t, 'files/a', 'x', token.admin);
      const r = await t.fetch(path('files/a'), { method, body: method === 'PUT' ? 'x' : undefined, headers: token[scope] });
      await r.arrayBuffer();
      assert.equal(r.status, may[method].includes(scope) ? 200 : 403, `${method} as ${scope}`);
    }
  }
  assert.equal((await t.call('PUT', path('files/a'), 'x', { cookie: admin.cookie, origin: 'http://evil.example' })).status, 403, 'no foreign page puts');
  // Who sends events adds and repeats; other content under a taken name, and a delete, are the administrator's.
  await put(t, 'files/a', 'x', token.admin);
  assert.equal((await put(t, 'files/a', 'x', token.ingest)).status, 200, 'repeated');
  const over = await put(t, 'files/a', 'other', token.ingest);
  assert.deepEqual([over.status, over.body.type], [403, '/problems/overwrite']);
  assert.match(over.body.hint, /scope admin/);
  assert.equal((await put(t, 'files/a', 'other', { ...token.ingest, 'if-match': '*' })).status, 403, 'nor with a condition');
  assert.equal(await (await t.fetch(path('files/a'), { headers: token.read })).text(), 'x');
  assert.equal((await put(t, 'files/ours', 'other', token.ingest)).status, 201);
  assert.equal((await put(t, 'files/a', 'other', token.admin)).status, 200);
  assert.equal((await put(t, 'files/l', Buffer.alloc(102400), token.admin)).status, 201);
  assert.equal((await put(t, 'files/l', Buffer.alloc(102401), token.admin)).status, 413);
  // Without a length: refused when the bytes have come.
  const chunked = await t.fetch(path('files/c'), { method: 'PUT', headers: token.admin, duplex: 'half', body: new ReadableStream({ start(c) { for (let i = 0; i < 40; i++) c.enqueue(new Uint8Array(65536)); c.close(); } }) }).catch(() => null);
  assert.ok(chunked === null || chunked.status === 413);
  const ok = await t.fetch(path('files/c'), { method: 'PUT', headers: token.admin, duplex: 'half', body: new ReadableStream({ start(c) { c.enqueue(Buffer.from('ab')); c.enqueue(Buffer.from('cd')); c.close(); } }) });
  assert.equal((await ok.json()).sha256, sha('abcd'));
  // Two uploads that hang, the third is told to wait; theirs leave no trace.
  const hang = [1, 2].map((i) => request({ host: '127.0.0.1', port: t.port, method: 'PUT', path: path(`files/h${i}`), headers: { ...token.admin, 'content-length': 1000, expect: '100-continue' } }));
  await Promise.all(hang.map((q) => new Promise((done, fail) => { q.on('continue', done); q.on('error', fail); q.flushHeaders(); })));
  for (const q of hang) { q.on('error', () => {}); q.write('begin'); }
  assert.equal((await put(t, 'files/third', 'x', token.admin)).status, 503);
  for (const q of hang) q.destroy();
  await until(async () => (await put(t, 'files/third', 'x', token.admin)).status < 300);
  await until(() => contents(t.data).tmp.length === 0);
  assert.equal((await t.call('GET', path('files/h1'), undefined, token.admin)).status, 404);
  assert.equal((await t.stop()).code, 0);
});

test('writers of one name: the last event is what the name holds, contents are counted right', { timeout: 600000 }, async () => {
  console.log(`seed ${baseSeed}`);
  const r = rng(baseSeed);
  const t = await new Tarn({ sql: `${sql} ALTER SYSTEM SET snapshot_keep = '1 s';` }).start();
  const bodies = Array.from({ length: 6 }, (_, i) => Buffer.alloc(1000 + i * 50000, 65 + i));
  const names = ['files/one', 'files/two', 'docs/one'];
  let conflicts = 0;
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let i = 0; i < 25; i++) {
      const name = r.pick(names), what = r.next();
      const a = what < 0.7 ? await put(t, name, r.pick(bodies)) : what < 0.85 ? await t.call('DELETE', path(name) + (what < 0.78 ? '?erase=1' : '')) : await put(t, name, r.pick(bodies), { 'if-none-match': '*' });
      assert.ok([200, 201, 404, 412].includes(a.status), JSON.stringify(a.body));
      conflicts += a.status === 412;
      if (r.chance(0.3)) {
        const g = await get(t, name);
        assert.ok(g.status === 404 || sha(g.body) === g.headers.get('x-tarn-sha256'), 'a reader sees a whole object');
      }
    }
  }));
  assert.ok(conflicts > 0);
  const last = new Map();
  for (const x of await rows(t)) last.set(`${x.bucket}/${x.key}`, x);
  const held = new Set();
  for (const name of names) {
    const g = await get(t, name), e = last.get(name);
    if (g.status === 200) { assert.equal(e.action, 'put'); assert.equal(sha(g.body), e.sha256); held.add(e.sha256); }
    else assert.ok(e === undefined || e.action === 'delete', name);
  }
  await until(() => { const c = contents(t.data); return c.tmp.length === 0 && c.files.length === held.size && c.files.every((f) => held.has(f)); }, 15000, 100);
  for (const name of names) await t.call('DELETE', path(name));
  assert.deepEqual((await t.ok('GET', '/api/v1/objects')).buckets, []);
  await until(() => contents(t.data).files.length === 0, 15000, 100);
  assert.equal((await t.stop()).code, 0);
});

const points = ['object_received', 'object_moved', 'object_folder_synced', 'object_named', 'object_event_given', 'object_event_told', 'object_event_forgotten'];
for (const point of points)
  test(`kill -9 at ${point}: whole or not at all, told once`, async () => {
    const first = png(10, 10), second = png(20, 20);
    const t = await new Tarn({ sql: `${sql} ALTER SYSTEM SET snapshot_keep = '1 s';`, env: { TARN_CRASH: `${point}:${point === 'object_event_forgotten' ? 1 : 2}` } }).start();
    assert.equal((await put(t, 'photos/a.png', first)).status, 201);
    const a = await put(t, 'photos/b.png', second).catch(() => null);
    const acked = a !== null && a.status === 201;
    await until(() => t.exit !== null, 10000);
    assert.equal(t.exit.signal, 'SIGKILL');
    delete t.o.env.TARN_CRASH;
    await t.start();
    assert.deepEqual((await get(t, 'photos/a.png')).body, first, 'what was acknowledged is there');
    const b = await get(t, 'photos/b.png');
    assert.ok(b.status === 200 || !acked);
    if (b.status === 200) assert.deepEqual(b.body, second);
    const named = [...(b.status === 200 ? [sha(second)] : []), sha(first)].sort();
    await until(() => { const c = contents(t.data); return c.tmp.length === 0 && JSON.stringify(c.files) === JSON.stringify(named); }, 10000, 50);
    const told = async (key) => (await rows(t)).filter((x) => x.key === key).length;
    await until(async () => (await told('b.png')) === (b.status === 200 ? 1 : 0), 10000, 50);
    // Once more after another start: still once.
    await t.restart('kill');
    assert.equal((await put(t, 'photos/b.png', second)).status, b.status === 200 ? 200 : 201);
    assert.equal(await told('b.png'), b.status === 200 ? 2 : 1);
    await t.cut();
    const bronze = await t.sql('SELECT count(*) AS n, count(DISTINCT id) AS ids FROM objects');
    assert.equal(bronze[0].n, bronze[0].ids);
    assert.equal((await t.stop()).code, 0);
  });

for (const point of ['object_named:3', 'object_removed:1'])
  test(`kill -9 at ${point} of an erasure: the content is gone after the start`, async () => {
    const body = randomBytes(5000);
    const t = await new Tarn({ sql, env: { TARN_CRASH: point } }).start();
    await put(t, 'photos/a', body);
    await put(t, 'photos/keep', 'keep');
    await t.call('DELETE', path('photos/a') + '?erase=1').catch(() => null);
    await until(() => t.exit !== null, 10000);
    delete t.o.env.TARN_CRASH;
    await t.start();
    assert.equal((await get(t, 'photos/a')).status, 404);
    await until(() => JSON.stringify(contents(t.data).files) === JSON.stringify([sha('keep')]), 10000, 50);
    await until(async () => (await rows(t)).filter((x) => x.action === 'delete').length === 1, 10000, 50);
    assert.equal((await t.stop()).code, 0);
  });

test('retention takes old objects away, by bucket', async () => {
  const t = await new Tarn({ sql: `${sql} ALTER SYSTEM SET object_retention = 'short=1 s, *=1 day'; ALTER SYSTEM SET snapshot_keep = '1 s';` }).start();
  await put(t, 'short/a', 'a');
  await put(t, 'long/b', 'b');
  await t.restart();
  await until(async () => (await get(t, 'short/a')).status === 404, 20000, 100);
  assert.equal((await get(t, 'long/b')).status, 200);
  await until(async () => (await rows(t)).some((x) => x.action === 'delete' && x.key === 'a'), 5000);
  await until(() => contents(t.data).files.length === 1, 10000, 100);
  assert.equal((await t.stop()).code, 0);
});

test('a table of the user, off, a lost index, a lost content', async () => {
  const own = await new Tarn({ sql: 'CREATE TABLE objects (n int);' }).start();
  await own.post('objects', '{"n":1}');
  assert.equal((await put(own, 'photos/a', 'x')).status, 404);
  assert.match((await put(own, 'photos/a', 'x')).body.hint, /objects/);
  assert.equal((await own.sql('SELECT n FROM objects'))[0].n, 1);
  await own.stop();
  const off = await new Tarn({ sql: `CREATE TABLE s (n int); ALTER SYSTEM SET objects = 'off';` }).start();
  assert.equal((await off.call('GET', '/api/v1/objects')).status, 404);
  assert.ok(!existsSync(join(off.data, 'objects.mdb')));
  assert.equal((await off.call('POST', '/api/v1/sql', 'SELECT 1 AS x FROM objects')).status, 400);
  await off.stop();
  const view = await new Tarn({ sql: 'CREATE TABLE s (n int); CREATE MATERIALIZED VIEW objects AS SELECT count(*) AS c FROM s;' }).start();
  assert.equal((await view.call('GET', '/api/v1/objects')).status, 404);
  await view.stop();
  // The user's table with all columns, and more of its own, takes the events.
  const wide = await new Tarn({ sql: `CREATE TABLE objects (id text PRIMARY KEY, action text NOT NULL, bucket text NOT NULL, key text NOT NULL, sha256 text, bytes bigint, content_type text, width int, height int,
    taken_at timestamptz, taken_offset text, uploaded_at timestamptz NOT NULL, metadata jsonb, mine text DEFAULT 'yes') WITH (event_time = 'uploaded_at', retention = '30 days');` }).start();
  assert.equal((await put(wide, 'photos/a', 'x')).status, 201);
  assert.equal((await wide.sql('SELECT mine FROM objects'))[0].mine, 'yes');
  const c = contents(wide.data).files[0];
  rmSync(join(wide.data, 'lake/objects', c.slice(0, 2), c.slice(2, 4), c));
  assert.equal((await get(wide, 'photos/a')).status, 500);
  assert.equal((await put(wide, 'photos/a', 'x')).status, 200, 'putting it again heals it');
  assert.equal((await get(wide, 'photos/a')).status, 200);
  await wide.stop();
  renameSync(join(wide.data, 'objects.mdb'), join(wide.data, 'objects.away'));
  await assert.rejects(() => wide.start(), /objects\.mdb is missing/);
  const bad = await command(['check', join(wide.config)], {});
  assert.equal(bad.code, 0);
  const refused = await new Tarn({ sql: `CREATE TABLE s (n int); ALTER SYSTEM SET object_retention = 'photos=soon';` }).start().catch((e) => e);
  assert.match(String(refused), /soon/);
});

test('a large object in bounded memory', { timeout: 600000 }, async () => {
  const mib = process.env.SOAK ? 200 : 30;
  const t = await new Tarn({ sql: `${sql} ALTER SYSTEM SET memory_max = '64 MiB';` }).start();
  const rss = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${t.child.pid}/status`, 'utf8'))[1]) / 1024;
  await put(t, 'files/small', 'x');
  const before = rss(), piece = randomBytes(1 << 20), hash = createHash('sha256');
  let left = mib;
  const body = new ReadableStream({ pull(c) { if (left-- > 0) { hash.update(piece); c.enqueue(piece); } else c.close(); } });
  const r = await (await t.fetch(path('files/large'), { method: 'PUT', body, duplex: 'half' })).json();
  assert.equal(r.sha256, hash.digest('hex'));
  assert.equal(r.bytes, mib << 20);
  const back = createHash('sha256');
  let n = 0;
  for await (const p of (await t.fetch(path('files/large'))).body) { back.update(p); n += p.length; }
  assert.equal(n, mib << 20);
  assert.equal(back.digest('hex'), r.sha256);
  // A reader that does not read holds one piece, not the file.
  const lazy = await Promise.all(Array.from({ length: 4 }, () => t.fetch(path('files/large'))));
  const grown = rss() - before;
  console.log(`${mib} MiB in and out: ${grown.toFixed(1)} MiB more at the peak`);
  assert.ok(grown < 16, `grew by ${grown} MiB`);
  for (const l of lazy) await l.body.cancel();
  assert.equal(statSync(join(t.data, 'lake/objects', r.sha256.slice(0, 2), r.sha256.slice(2, 4), r.sha256)).size, mib << 20);
  assert.equal((await t.stop()).code, 0);
});

test('a full disk is 507 before a byte is kept', { skip: process.getuid() !== 0 }, async () => {
  const dir = tempDir('small');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', dir], { stdio: 'ignore' });
  } catch {
    return;             // No right to mount here.
  }
  try {
    const t = await new Tarn({ sql: `${sql} ALTER SYSTEM SET log_segment_bytes = '16 MiB';`, data: join(dir, 'data') }).start();
    assert.equal((await put(t, 'files/a', Buffer.alloc(1 << 20))).status, 201);
    assert.equal((await put(t, 'files/b', Buffer.alloc(63 << 20)).catch((e) => ({ status: String(e) }))).status, 507);
    assert.deepEqual(contents(t.data).tmp, []);
    assert.equal((await get(t, 'files/a')).status, 200);
    assert.equal((await put(t, 'files/c', Buffer.alloc(1 << 20, 1))).status, 201, 'smaller ones still fit');
    assert.equal((await t.stop()).code, 0);
  } finally {
    execFileSync('umount', ['-l', dir], { stdio: 'ignore' });
  }
});
