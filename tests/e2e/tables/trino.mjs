// Trino, one node, from its jars (tests/tools/interop.sh, part of make interop):
// started with a catalog as the page Lake shows it, asked over HTTP, ended.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { root, tempDir, until } from '../lib.mjs';

const home = join(root, 'build/interop/trino');
/** Whether there is one here. */
export const trino = process.env.INTEROP === '1' && existsSync(join(home, 'ready'));

const freePort = () => new Promise((done) => {
  const s = createServer().listen(0, '127.0.0.1', () => {
    const { port } = s.address();
    s.close(() => done(port));
  });
});

async function ask(url, sql) {
  const rows = [];
  for (let r = await (await fetch(`${url}/v1/statement`, { method: 'POST', body: sql, headers: { 'x-trino-user': 'test' } })).json(); ; r = await (await fetch(r.nextUri)).json()) {
    rows.push(...(r.data ?? []));
    if (r.error) throw new Error(`Trino: ${r.error.message}`);
    if (!r.nextUri) return rows;
  }
}

/** Rows of a query by a Trino whose catalog "tarn" has these lines. */
export async function askTrino(catalog, sql) {
  const etc = tempDir('trino'), port = await freePort(), url = `http://127.0.0.1:${port}`;
  mkdirSync(join(etc, 'catalog'));
  writeFileSync(join(etc, 'catalog/tarn.properties'), catalog);
  writeFileSync(join(etc, 'config.properties'), `node.id=one\nnode.environment=test\ncoordinator=true\nnode-scheduler.include-coordinator=true\nhttp-server.http.port=${port}\ndiscovery.uri=${url}\nplugin.dir=${home}/plugin\ncatalog.config-dir=${etc}/catalog\n`);
  const child = spawn(join(home, 'java/bin/java'), ['-Xmx2G', '-XX:+UseG1GC', '-XX:+ExplicitGCInvokesConcurrent', '-Djdk.attach.allowAttachSelf=true', '--enable-native-access=ALL-UNNAMED',
    '--sun-misc-unsafe-memory-access=allow', '--add-opens=java.base/java.nio=ALL-UNNAMED', `-Dconfig=${etc}/config.properties`, '-cp', `${home}/classes:${home}/lib/*`, 'Start', '476'], { cwd: etc, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '', gone = false;
  for (const s of [child.stdout, child.stderr]) s.on('data', (d) => { said = (said + d).slice(-20000); });
  const ended = new Promise((r) => child.on('exit', () => { gone = true; r(); }));
  try {
    await until(async () => gone || await fetch(`${url}/v1/info`).then((r) => r.json()).then((i) => i.starting === false, () => false), 60000, 500);
    if (gone) throw new Error(`Trino ended: ${said}`);
    // It has started before it has seen itself as a node.
    let rows;
    await until(async () => {
      rows = await ask(url, sql).catch((e) => { if (!/No nodes available/.test(e.message)) throw e; });
      return rows !== undefined;
    }, 60000, 500);
    return rows;
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}
