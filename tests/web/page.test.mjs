/* Goal: the page works in a real browser under the CSP, for everybody: no
 * console errors, no axe violations in both themes at 320 and 1280 px, nothing
 * jumps, and it comes back after the server was away. Against the mock. */
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { start } from './mock.mjs';
import { launch, listen, present } from './browser.mjs';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const skip = present ? false : 'no chromium';
const routes = ['/', '/streams', '/streams/readings', '/streams/readings?tab=schema',
	'/streams/readings?tab=quality', '/streams/readings?tab=sources', '/streams/readings?tab=send',
	'/runs', '/sql?q=SELECT%201', '/sql?q=selec%201', '/setup', '/nowhere'];
let mock, browser;

test.before(async () => {
	if (skip)
		return;
	mock = await start();
	browser = await launch();
});
test.after(async () => {
	await browser?.close();
	await mock?.stop();
});

/** What axe finds, in short. */
async function violations(page) {
	await page.addScriptTag({ content: axe });
	const r = await page.evaluate(() => window.axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
	return r.violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 140)} ${n.failureSummary.slice(0, 200)}`).join(' | ')}`);
}

for (const theme of ['light', 'dark'])
	for (const width of [320, 1280])
		test(`axe finds nothing on any route, ${theme}, ${width} px`, { skip, timeout: 120000 }, async () => {
			const c = await browser.newContext({ viewport: { width, height: 800 }, colorScheme: theme, bypassCSP: true, reducedMotion: 'reduce' });
			const page = await c.newPage();
			for (const route of routes) {
				await page.goto(mock.url + route);
				await page.waitForSelector('h1');
				await page.waitForTimeout(500);
				assert.deepEqual(await violations(page), [], route);
				const wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
				assert.equal(wide, false, `${route} scrolls sideways`);
			}
			await c.close();
		});

test('no console errors under the CSP on any route', { skip, timeout: 60000 }, async () => {
	const c = await browser.newContext();
	const page = await c.newPage();
	const errors = listen(page);
	for (const route of routes.filter((r) => !r.includes('selec%20'))) {
		await page.goto(mock.url + route);
		await page.waitForTimeout(500);
	}
	assert.deepEqual(errors, []);
	await c.close();
});

test('nothing jumps while the overview loads (CLS at most 0.02)', { skip }, async () => {
	for (const width of [360, 1440]) {
		const c = await browser.newContext({ viewport: { width, height: 900 } });
		const page = await c.newPage();
		await page.addInitScript(() => {
			window.shift = 0;
			new PerformanceObserver((l) => {
				for (const e of l.getEntries())
					window.shift += e.value;
			}).observe({ type: 'layout-shift', buffered: true });
		});
		await page.goto(mock.url + '/');
		await page.waitForSelector('.uplot');
		await page.waitForTimeout(1500);
		assert.ok(await page.evaluate(() => window.shift) <= .02, `${width}: ${await page.evaluate(() => window.shift)}`);
		await c.close();
	}
});

test('numbers move, Pause holds them, and Resume catches up', { skip }, async () => {
	const page = await browser.newPage();
	await page.goto(mock.url + '/');
	const value = () => page.locator('[data-view=rooms_total] .value').innerText();
	await page.waitForSelector('[data-feed=live]');
	await page.waitForTimeout(600);
	const a = await value();
	await page.waitForTimeout(1500);
	const b = await value();
	assert.notEqual(a, b);
	await page.getByRole('button', { name: 'Pause live updates' }).click();
	await page.waitForSelector('[data-feed=paused]');
	const held = await value();
	await page.waitForTimeout(1500);
	assert.equal(await value(), held);
	await page.getByRole('button', { name: 'Resume live updates' }).click();
	await page.waitForSelector('[data-feed=live]');
	await page.waitForTimeout(700);
	assert.notEqual(await value(), held);
	await page.close();
});

test('eight tabs share one connection to the server', { skip }, async () => {
	const own = await start();
	const c = await browser.newContext();
	for (let i = 0; i < 8; i++) {
		const page = await c.newPage();
		await page.goto(own.url + '/');
		await page.waitForSelector('[data-feed=live]');
	}
	assert.equal(own.clients(), 1);
	await c.close();
	await own.stop();
});

test('without SharedWorker the page follows by itself', { skip }, async () => {
	const c = await browser.newContext();
	const page = await c.newPage();
	await page.addInitScript(() => { delete window.SharedWorker; });
	await page.goto(mock.url + '/');
	await page.waitForSelector('[data-feed=live]');
	await page.waitForSelector('.uplot');
	await c.close();
});

test('a server that went away is waited for, and the page goes on', { skip, timeout: 60000 }, async () => {
	const first = await start();
	const c = await browser.newContext();
	const page = await c.newPage();
	await page.goto(first.url + '/');
	await page.waitForSelector('[data-feed=live]');
	await first.stop();
	await page.waitForSelector('[data-feed=reconnecting]', { timeout: 8000 });
	const second = await start({ port: first.port });
	await page.waitForSelector('[data-feed=live]', { timeout: 10000 });
	await page.waitForSelector('.uplot');
	await c.close();
	await second.stop();
});

test('an empty server shows a command that works and sees the first event', { skip }, async () => {
	const own = await start({ empty: true });
	const page = await browser.newPage();
	await page.goto(own.url + '/');
	await page.getByText('Waiting for the first event').waitFor();
	const command = await page.locator('pre.code').first().innerText();
	const body = /-d '(.*)'/s.exec(command)[1];
	await fetch(`${own.url}/api/v1/streams/readings`, { method: 'POST', body });
	await page.getByText('received 1 event').waitFor({ timeout: 5000 });
	await page.close();
	await own.stop();
});

test('the keyboard reaches everything: skip link, g-keys, focus on the heading, chart cursor', { skip }, async () => {
	const page = await browser.newPage();
	await page.goto(mock.url + '/');
	await page.waitForSelector('.uplot');
	await page.keyboard.press('Tab');
	assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
	await page.locator('.chart[role=img]').first().focus();
	await page.keyboard.press('ArrowLeft');
	await page.waitForSelector('.tip');
	await page.keyboard.press('g');
	await page.keyboard.press('u');
	await page.waitForURL('**/runs');
	await page.waitForFunction(() => document.activeElement.tagName === 'H1');
	await page.getByRole('button', { name: 'Cut now' }).click();
	await page.getByText('Run 201 published').waitFor();
	await page.goBack();
	await page.waitForSelector('.uplot');
	await page.getByRole('button', { name: 'Show as table: Occupancy by room' }).click();
	await page.getByRole('group', { name: 'Occupancy by room, table' }).waitFor();
	await page.close();
});

test('theme and time zone stay after a reload; login leads only to this server', { skip }, async () => {
	const page = await browser.newPage();
	await page.goto(mock.url + '/');
	await page.getByRole('button', { name: 'Display' }).click();
	await page.getByRole('button', { name: 'Dark' }).click();
	await page.reload();
	assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
	for (const next of ['//evil.example/', 'https://evil.example/', '/\\evil.example'])
		await page.goto(`${mock.url}/login?next=${encodeURIComponent(next)}`).then(async () => {
			await page.waitForTimeout(300);
			assert.ok(page.url().startsWith(mock.url), page.url());
		});
	await page.close();
});
