// What the MQTT tests share: Debian's mosquitto_pub and mosquitto_sub as
// processes, waits on what Tarn tells of its clients, and a folder of
// certificates. No sleeps: a subscriber is ready when Tarn lists it.
import { after } from 'node:test';
import { spawn, spawnSync, execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { patience, until, tempDir } from './lib.mjs';

process.setMaxListeners(0);      // Each folder has an exit listener.
const running = new Set();
after(() => { for (const c of running) c.kill('SIGKILL'); });

/** A process whose output is kept in .out and .err; ends with the test file. */
export function start(words, o = {}) {
  const c = spawn(words[0], words.slice(1), { stdio: ['pipe', 'pipe', 'pipe'], ...o });
  running.add(c);
  c.out = '';
  c.err = '';
  c.code = null;
  c.stdout.on('data', (d) => { c.out += d; });
  c.stderr.on('data', (d) => { c.err += d; });
  c.stdin.on('error', () => {});
  c.ended = new Promise((r) => c.on('close', (code, signal) => { c.code = code ?? signal; running.delete(c); r(c.code); }));
  return c;
}

const address = (t, o) => ['-h', o.host ?? '127.0.0.1', '-p', String(o.port ?? t.mqttPort), '-V', o.v === 5 ? 'mqttv5' : 'mqttv311'];

/** mosquitto_pub to its end: {code, out, err}. ${input} goes to -l, a message a line. */
export function pub(t, args, o = {}) {
  const words = [...address(t, o), ...args.map(String)];
  const r = spawnSync('mosquitto_pub', words, { input: o.input, encoding: 'utf8', timeout: 20000 * patience });
  return { code: r.status, out: r.stdout, err: r.stderr };
}

/** The same, and it must go well. */
export function pubOk(t, topic, payload, args = [], o = {}) {
  const r = pub(t, ['-t', topic, '-m', payload, '-q', o.qos ?? 1, ...args], o);
  if (r.code !== 0) throw new Error(`mosquitto_pub ${topic}: ${r.code} ${r.err}${r.out}`);
}

/** A client as GET /api/v1/mqtt tells it, or undefined. */
export async function clientOf(t, id) {
  return (await t.ok('GET', '/api/v1/mqtt')).clients.find((c) => c.client === id);
}

/** mosquitto_sub; .lines are what -F printed. */
export class Sub {
  constructor(t, id, topics, args = [], o = {}) {
    const each = topics.flatMap((x) => ['-t', x]);
    this.t = t;
    this.id = id;
    this.topics = topics;
    this.child = start(['mosquitto_sub', ...address(t, o), '-i', id, '-F', o.format ?? '%t %p', ...each, ...args.map(String)]);
  }

  /** Until Tarn has its subscriptions (${how}: asks Tarn's page). */
  async ready() {
    await until(async () => {
      if (this.child.code !== null) throw new Error(`mosquitto_sub ended: ${this.child.code} ${this.child.err}`);
      const c = await clientOf(this.t, this.id);
      return c?.connected && c.subscriptions >= this.topics.length;
    });
    return this;
  }

  get lines() { return this.child.out.split('\n').slice(0, -1); }

  async got(n, ms = 10000) {
    await until(() => this.lines.length >= n, ms).catch(() => { throw new Error(`${this.id}: ${this.lines.length} of ${n} messages: ${this.lines.slice(0, 5)} ${this.child.err}`); });
    return this.lines;
  }

  /** ${how}: a signal; SIGTERM makes mosquitto_sub say DISCONNECT. */
  async end(how = 'SIGTERM') {
    this.child.kill(how);
    await this.child.ended;
    return this.lines;
  }
}

export async function freePort() {
  return new Promise((r) => { const s = createServer().listen(0, '127.0.0.1', () => { const { port } = s.address(); s.close(() => r(port)); }); });
}

/** ca.pem, server.pem/.key for 127.0.0.1, client.pem/.key (CN=press-7), stranger.pem/.key of another CA. */
export function certificates() {
  const dir = tempDir('certs');
  const at = (n) => join(dir, n);
  const run = (...a) => execFileSync('openssl', a, { stdio: 'pipe' });
  const ca = (n) => run('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${n}`,
    '-keyout', at(`${n}.key`), '-out', at(`${n}.pem`));
  const leaf = (n, by, cn, ext) => {
    run('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', `/CN=${cn}`, '-addext', ext,
      '-keyout', at(`${n}.key`), '-out', at(`${n}.csr`));
    run('x509', '-req', '-in', at(`${n}.csr`), '-CA', at(`${by}.pem`), '-CAkey', at(`${by}.key`), '-CAcreateserial', '-days', '2', '-copy_extensions', 'copy', '-out', at(`${n}.pem`));
  };
  ca('ca');
  ca('other');
  leaf('server', 'ca', '127.0.0.1', 'subjectAltName=IP:127.0.0.1,DNS:localhost');
  leaf('client', 'ca', 'press-7', 'extendedKeyUsage=clientAuth');
  leaf('stranger', 'other', 'press-8', 'extendedKeyUsage=clientAuth');
  return at;
}

/** Rows of a stream, by a SELECT. */
export const count = async (t, table, where = 'true') => Number((await t.sql(`SELECT count(*) AS n FROM ${table} WHERE ${where}`))[0].n);
