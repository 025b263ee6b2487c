// What the whole-program tests share: a real tarn process on a port of its
// own, plain fetch calls against it, seeds, data folders. No mocks, no sleeps:
// waits look at a condition until a deadline.
import { after } from 'node:test';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, mkdirSync, rmSync, writeFileSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const tarnBin = process.env.TARN_BIN ?? join(root, 'build/release/tarn');
export const shared = join(root, '../shared/data');
/** A file of the large sets: from ../shared/data, else from tests/data, else null. */
export function dataFile(name) {
  for (const dir of [shared, join(root, 'tests/data')])
    if (existsSync(join(dir, name))) return join(dir, name);
  return null;
}

/** What make tools builds beside the program: tools/preload/clock.so, bench/compact_bench. */
export function tool(name) {
  const path = join(dirname(tarnBin), 'tests', name);
  if (!existsSync(path)) throw new Error(`${path} is not built: make tools (with the B= and VARIANT= of that program)`);
  return path;
}

export function tempDir(name = 'e2e') {
  const dir = mkdtempSync(join(tmpdir(), `tarn-${name}-`));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A machine may give us a fraction of itself: limits of time that only end what
 * hangs are this many times what a quiet one needs at most. */
export const patience = Number(process.env.TARN_PATIENCE ?? 10);

/** Look at ${what} until it is truthy; fails when it is not so ${ms} (times our
 * patience) later: the last look begins after that. */
export async function until(what, ms = 10000, every = 20) {
  const end = Date.now() + ms * patience;
  for (;;) {
    const last = Date.now() > end, v = await what();
    if (v) return v;
    if (last) throw new Error(`still not so after ${ms * patience} ms: ${what}`);
    await new Promise((r) => setTimeout(r, every));
  }
}

/** What ${promise} gives, or undefined when it has not ${ms} (times our patience) later. */
export async function within(promise, ms) {
  let timer;
  const late = new Promise((r) => { timer = setTimeout(r, ms * patience); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Milliseconds since, as this process had them: it counts the turns of a timer, which
 * come late or not at all while the machine is elsewhere. For what must not take too long. */
export function stopwatch(every = 10) {
  let turns = 0;
  const timer = setInterval(() => { turns++; }, every);
  timer.unref();
  return { get ms() { return turns * every; }, stop() { clearInterval(timer); return turns * every; } };
}

/** A seeded generator (mulberry32): the seed is printed by whoever makes it. */
export function rng(seed) {
  let a = seed >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  return { next, below: (n) => Math.floor(next() * n), pick: (l) => l[Math.floor(next() * l.length)], chance: (p) => next() < p };
}
export const baseSeed = Number(process.env.TARN_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Whatever a failed test left running ends with its file. */
const running = new Set();
after(() => { for (const t of running) t.kill(); });

export class Tarn {
  /** @param {{sql?: string, config?: string, data?: string, command?: string, env?: object, port?: number, mqtt?: boolean, args?: string[], wrap?: string[]}} o */
  constructor(o = {}) {
    this.o = o;
    this.data = o.data ?? tempDir();
    if (o.sql !== undefined) {
      this.config = join(tempDir('config'), 'pipeline');
      mkdirSync(this.config, { recursive: true });
      writeFileSync(join(this.config, 'pipeline.sql'), o.sql);
    } else {
      this.config = o.config;
    }
    this.port = o.port ?? 0;
    this.asked = new Set();
  }

  async start() {
    const args = [this.o.command ?? 'run', '--data', this.data, '--http', `127.0.0.1:${this.port}`,
      ...(this.config ? ['--config', this.config] : []), ...(this.o.args ?? [])];
    const words = [...(this.o.wrap ?? []), tarnBin, ...args];
    this.out = '';
    this.err = '';
    this.exit = null;
    this.child = spawn(words[0], words.slice(1), { env: { ...process.env, TARN_MQTT: this.o.mqtt ? `127.0.0.1:${this.mqttPort ?? 0}` : 'none', ...this.o.env }, stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(this);
    this.child.stdout.on('data', (d) => { this.out += d; });
    this.child.stderr.on('data', (d) => { this.err += d; });
    this.ended = new Promise((r) => this.child.on('exit', (code, signal) => { this.exit = { code, signal }; running.delete(this); this.giveUp(this.child); r(this.exit); }));
    await until(() => this.exit !== null || /Dashboard\s+(\S+)/.test(this.out), this.o.startMs ?? 30000, 5);
    const m = /Dashboard\s+(http:\/\/[^/\s]+)/.exec(this.out);
    if (!m) throw new Error(`tarn ended at start: ${JSON.stringify(this.exit)}\n${this.out}${this.err}`);
    this.url = m[1];
    this.port = Number(new URL(this.url).port);
    if (this.o.mqtt) this.mqttPort = Number(/mqtt:\/\/[^:]+:(\d+)/.exec(this.out)[1]);
    return this;
  }

  async stop() {
    if (this.exit === null) this.child.kill('SIGTERM');
    return this.ended;
  }

  async kill() {
    if (this.exit === null) this.child.kill('SIGKILL');
    return this.ended;
  }

  async restart(how = 'stop') {
    await this[how]();
    return this.start();
  }

  /** ${answer}, or an error soon after the process is dead: fetch may lose a request of a
   * dead process without a word, and would never answer. */
  mortal(answer) {
    return new Promise((ok, no) => {
      const asked = { of: this.child, no: () => no(new Error('tarn ended, and nothing came')) };
      this.asked.add(asked);
      answer.then(ok, no).finally(() => this.asked.delete(asked));
    });
  }

  giveUp(child) {
    const give = () => { for (const a of this.asked) if (a.of === child) a.no(); };
    const timer = setTimeout(() => setTimeout(give, 50), 2000);      // What has come meanwhile is read first.
    if (this.asked.size === 0) timer.unref();
  }

  fetch(path, init) {
    return this.mortal(fetch(this.url + path, init));
  }

  /** Any answer as {status, body (parsed when JSON), headers}. */
  call(method, path, body, headers) {
    return this.mortal(this.told(method, path, body, headers));
  }

  async told(method, path, body, headers = {}) {
    const r = await this.fetch(path, { method, body, headers, duplex: body && typeof body === 'object' && !Buffer.isBuffer(body) ? 'half' : undefined });
    const text = await r.text();
    let parsed = text;
    if (/json/.test(r.headers.get('content-type') ?? '') && !/ndjson/.test(r.headers.get('content-type'))) parsed = JSON.parse(text);
    return { status: r.status, body: parsed, headers: r.headers };
  }

  async post(stream, body, { type, query = '', headers = {} } = {}) {
    const r = await this.call('POST', `/api/v1/streams/${stream}${query}`, body,
      { 'content-type': type ?? 'application/x-ndjson', ...headers });
    if (r.status !== 200) throw new Error(`POST ${stream}: ${r.status} ${JSON.stringify(r.body)}`);
    return r.body;
  }

  async ok(method, path, body, headers) {
    const r = await this.call(method, path, body, headers);
    if (r.status !== 200) throw new Error(`${method} ${path}: ${r.status} ${JSON.stringify(r.body)}`);
    return r.body;
  }

  /** Rows of a view as objects, once the speed layer has folded all that is committed. */
  async view(name, query = '') {
    await this.settled();
    const v = await this.ok('GET', `/api/v1/views/${name}${query}`);
    return v.rows.map((r) => Object.fromEntries(v.columns.map((c, i) => [c, r[i]])));
  }

  async sql(text) {
    await this.settled();
    const v = await this.ok('POST', '/api/v1/sql', text, { 'content-type': 'application/sql' });
    return v.rows.map((r) => Object.fromEntries(v.columns.map((c, i) => [c, r[i]])));
  }

  /** Acknowledged is durable; visible follows: wait until both agree. */
  async settled() {
    return until(async () => {
      const s = await this.ok('GET', '/api/v1/status');
      return s.lsn === s.log.last;
    }, 20000, 2);
  }

  cut() { return this.ok('POST', '/api/v1/batch/run'); }
  recompute(view) { return this.ok('POST', `/api/v1/recompute?view=${view}`); }
  verify(view) { return this.ok('POST', '/api/v1/verify' + (view ? `?view=${view}` : '')); }
}

/** Run a tarn command to its end. */
export function command(args, { input, env, on } = {}) {
  return new Promise((done) => {
    const c = spawn(tarnBin, args, { env: { ...process.env, ...env } });
    let out = '', err = '';
    c.stdout.on('data', (d) => { out += d; });
    c.stderr.on('data', (d) => { err += d; on?.(d); });
    c.on('exit', (code) => done({ code, out, err }));
    c.stdin.end(input);
  });
}

/** A CSV of ours (no quotes inside fields but around them) as objects of texts. */
export function readCsv(path) {
  const [head, ...lines] = readFileSync(path, 'utf8').trim().split(/\r?\n/);
  const names = head.split(',');
  return lines.map((l) => {
    const cells = l.match(/("([^"]|"")*"|[^,]*)(,|$)/g).map((x) => x.replace(/,$/, '').replace(/^"|"$/g, '').replace(/""/g, '"'));
    return Object.fromEntries(names.map((n, i) => [n, cells[i]]));
  });
}
