/* Goal: the page that the real binary serves shows moving data of the demo,
 * survives a restart of the server, keeps to its CSP, is usable by everybody,
 * and its first view is at most 64 KiB on the wire. */
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { clean, still, widths } from '../web/axe.mjs';
import { launch, listen, present } from '../web/browser.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const binary = process.env.TARN_BIN || path.join(here, '../../build/release/tarn');
const skip = !present ? 'no chromium' : !fs.existsSync(binary) ? `no ${binary}` : false;
const BUDGET = 65536;
const data = fs.mkdtempSync(path.join(os.tmpdir(), 'tarn-page-'));
let server, browser;

/** Start the demo; resolves with its address when it is printed. */
function demo(listenOn) {
	const child = spawn(binary, ['demo', '--data', data, '--http', listenOn], { stdio: ['ignore', 'pipe', 'pipe'] });
	return new Promise((done, fail) => {
		let text = '';
		const take = (d) => {
			text += d;
			const m = /Dashboard\s+(http:\/\/[^\s/]+)/.exec(text);
			if (m)
				done({ url: m[1], child, stop: () => new Promise((r) => {
					child.once('exit', r);
					child.kill('SIGTERM');
				}) });
		};
		child.stdout.on('data', take);
		child.stderr.on('data', take);
		child.once('exit', (code) => fail(new Error(`tarn ended with ${code}: ${text}`)));
		setTimeout(() => fail(new Error(`no address within 300 s: ${text}`)), 300000).unref();
	});
}

/** Bytes of a gzipped answer as they come. */
function weigh(url) {
	return new Promise((done, fail) => {
		http.get(url, { headers: { 'accept-encoding': 'gzip' } }, (r) => {
			let n = 0;
			r.on('data', (d) => { n += d.length; });
			r.on('end', () => done({ n, gzip: r.headers['content-encoding'] === 'gzip', status: r.statusCode }));
		}).on('error', fail);
	});
}

test.before(async () => {
	if (skip)
		return;
	server = await demo('127.0.0.1:0');
	browser = await launch();
});
test.after(async () => {
	await browser?.close();
	await server?.stop();
	fs.rmSync(data, { recursive: true, force: true });
});

/** The chart's own sentence and all the tiles: what a reader sees. */
const shown = (page) => page.evaluate(() => [...document.querySelectorAll('.tile .value, .chart[role=img]')]
	.map((e) => e.getAttribute('aria-label') || e.textContent).join('\n'));

test('the overview shows data that move within 10 s, without console errors', { skip, timeout: 600000 }, async () => {
	const page = await browser.newPage();
	const errors = listen(page);
	await page.goto(server.url + '/');
	await page.waitForSelector('[data-feed=live]');
	await page.waitForSelector('.uplot', { timeout: 60000 });
	const first = await shown(page);
	await page.waitForFunction((old) => [...document.querySelectorAll('.tile .value, .chart[role=img]')]
		.map((e) => e.getAttribute('aria-label') || e.textContent).join('\n') !== old, first, { timeout: 60000 });
	assert.deepEqual(errors, []);
	await page.close();
});

test('every page opens without console errors and with real rows', { skip, timeout: 600000 }, async () => {
	const { streams } = await (await fetch(`${server.url}/api/v1/streams`)).json();
	const name = streams[0].name;
	const page = await browser.newPage();
	const errors = listen(page);
	for (const [route, sign] of [['/streams', `a[href="/streams/${name}"]`], [`/streams/${name}`, 'tbody tr'],
		[`/streams/${name}?tab=schema`, 'tbody tr'], [`/streams/${name}?tab=quality`, '.quality, .state'],
		[`/streams/${name}?tab=sources`, 'tbody tr'], [`/streams/${name}?tab=send`, 'form'],
		['/mqtt', '.facts'], ['/runs', '.pagehead .btn'], [`/sql?q=${encodeURIComponent(`SELECT * FROM ${name} LIMIT 5`)}`, 'tbody tr']]) {
		await page.goto(server.url + route);
		await page.waitForSelector(sign, { timeout: 60000 });
	}
	assert.deepEqual(errors, []);
	await page.close();
});

test('Cut now publishes and the run stands in the table', { skip, timeout: 600000 }, async () => {
	const page = await browser.newPage();
	await page.goto(server.url + '/runs');
	await page.getByRole('button', { name: 'Cut now' }).click();
	await page.locator('.good').waitFor({ timeout: 60000 });
	await page.locator('tbody tr').first().waitFor();
	await page.close();
});

test('a test event is sent from the page and its fate is told', { skip, timeout: 600000 }, async () => {
	const { streams } = await (await fetch(`${server.url}/api/v1/streams`)).json();
	const page = await browser.newPage();
	await page.goto(`${server.url}/streams/${streams[0].name}?tab=send`);
	await page.getByRole('button', { name: 'Send', exact: true }).click();
	await page.getByText(/accepted at position|a duplicate/).waitFor({ timeout: 60000 });
	await page.close();
});

test('a range in the address, a cursor with the batch part, and the palette work on real data', { skip, timeout: 600000 }, async () => {
	const page = await browser.newPage();
	const errors = listen(page);
	await page.goto(server.url + '/?from=now-7d&to=now&sum=people_by_room');
	const chart = page.locator('[data-view=people_by_room] .chart');
	await page.waitForSelector('[data-view=people_by_room] .uplot');
	assert.match(await chart.getAttribute('aria-label'), /Sum: \d+/);
	const corrected = await (await fetch(`${server.url}/api/v1/views/people_by_room/corrections?limit=5`)).json();
	assert.ok(Array.isArray(corrected.corrections));
	const part = page.waitForResponse((r) => r.url().includes('layer=batch'));
	await chart.focus();
	await page.keyboard.press('ArrowLeft');
	assert.equal((await part).status(), 200);
	await page.waitForSelector('.tip');
	await page.keyboard.press('Control+k');
	await page.getByRole('combobox').fill('runs');
	await page.keyboard.press('Enter');
	await page.waitForURL('**/runs?from=now-7d&to=now');
	assert.deepEqual(errors, []);
	await page.close();
});

test('the first view is at most 64 KiB on the wire', { skip, timeout: 600000 }, async () => {
	const page = await browser.newPage();
	const urls = new Set([server.url + '/']);
	page.on('request', (r) => {
		if (/\/assets\/.*\.(js|css)$/.test(r.url()))
			urls.add(r.url());
	});
	await page.goto(server.url + '/');
	await page.waitForSelector('.uplot');
	/* With what comes after the first paint: band, corrections, heatmap. */
	await page.waitForSelector('.heat');
	await page.waitForTimeout(1000);
	const base = [...urls].find((u) => u.endsWith('/main.js')).replace(/main\.js$/, '');
	urls.add(`${base}lib/worker.js`).add(`${base}lib/hub.js`);
	let total = 0;
	for (const u of urls) {
		const w = await weigh(u);
		assert.equal(w.status, 200, u);
		assert.ok(w.gzip, `${u} is not gzipped`);
		total += w.n;
	}
	console.log(`first view: ${total} bytes in ${urls.size} files`);
	assert.ok(total <= BUDGET, `${total} bytes`);
	await page.close();
});

for (const width of widths)
	test(`axe finds nothing, light and dark, ${width} px`, { skip, timeout: 600000 }, async () => {
		const { streams } = await (await fetch(`${server.url}/api/v1/streams`)).json();
		const c = await still(browser, width);
		const page = await c.newPage();
		for (const route of ['/', '/streams', `/streams/${streams[0].name}`, '/mqtt', '/runs', '/sql']) {
			await page.goto(server.url + route);
			await page.waitForSelector(route === '/' ? '.uplot' : 'h1');
			await page.waitForTimeout(700);
			await clean(page, route);
		}
		await c.close();
	});

test('the page goes on by itself after the server was killed and came back', { skip, timeout: 600000 }, async () => {
	const page = await browser.newPage();
	await page.goto(server.url + '/');
	await page.waitForSelector('[data-feed=live]');
	await page.waitForSelector('.uplot');
	const { port } = new URL(server.url);
	const gone = new Promise((r) => server.child.once('exit', r));
	server.child.kill('SIGKILL');
	await gone;
	await page.waitForSelector('[data-feed=reconnecting]', { timeout: 60000 });
	server = await demo(`127.0.0.1:${port}`);
	await page.waitForSelector('[data-feed=live]', { timeout: 60000 });
	await page.waitForSelector('.uplot');
	assert.match(await page.locator('.tile .value').first().innerText(), /\d/);
	await page.close();
});
