/* Goal: the MQTT page, the new sources and a stream's senders show what the
 * broker says, for everybody, in both themes. Against the mock. */
import test from 'node:test';
import assert from 'node:assert/strict';
import { start } from './mock.mjs';
import { clean, still, widths } from './axe.mjs';
import { go, launch, listen, present } from './browser.mjs';

const skip = present ? false : 'no chromium';
let mock, bare, browser;

test.before(async () => {
	if (skip)
		return;
	mock = await start();
	bare = await start({ empty: true });
	browser = await launch();
});
test.after(async () => {
	await browser?.close();
	await mock?.stop();
	await bare?.stop();
});

const heads = (page, label) => page.getByRole('group', { name: `${label}, table` }).locator('tbody tr').allInnerTexts();

test('clients: all columns, sorting, filter, protocol; g m comes here', { skip }, async () => {
	const page = await browser.newPage();
	const errors = listen(page);
	await page.goto(mock.url + '/streams');
	await page.waitForSelector('h1');
	await go(page, 'm', '**/mqtt');
	await page.getByRole('group', { name: 'Clients, table' }).waitFor();
	await page.waitForFunction(() => document.activeElement.tagName === 'H1');
	let rows = await heads(page, 'Clients');
	assert.equal(rows.length, 4);
	assert.match(rows[0], /^gw-2\s+127\.0\.0\.1:50112\s+●\s*Connected\s+3\.1\.1\s+1 h ago\s+\d+ s ago\s+[\d,]+\s+4\s+1\s+0\s+0\s+0$/);
	assert.match(rows[1], /display\s+●\s*Connected\s+5\.0 · WebSocket/);
	assert.match(rows[2], /\s5\.0 · TLS/);
	assert.match(rows[3], /○\s*Away/);
	assert.match(await page.locator('.facts').first().innerText(), /Connected\s+3 of 4\s+In\s+7\.4\/s\s+Out\s+1\.2\/s\s+Subscriptions\s+5\s+Retained\s+12 \(4\.2 KiB\)\s+Queued\s+88\.0 KiB/);
	assert.match(await page.locator('.facts').nth(1).innerText(), /127\.0\.0\.1:1883[^]*127\.0\.0\.1:8883[^]*ws:\/\/127\.0\.0\.1:\d+\/mqtt/);
	await page.getByRole('button', { name: 'Takeovers' }).click();
	rows = await heads(page, 'Clients');
	assert.match(rows[0], /^node-red/);
	await page.getByLabel('Filter').fill('websocket');
	rows = await heads(page, 'Clients');
	assert.equal(rows.length, 1);
	assert.deepEqual(errors, []);
	await page.close();
});

test('figures move by themselves, and Pause holds them', { skip }, async () => {
	const page = await browser.newPage();
	await page.goto(mock.url + '/mqtt');
	await page.getByRole('group', { name: 'Clients, table' }).waitFor();
	const cell = () => page.evaluate(() => document.querySelector('tbody tr td:nth-child(6)').textContent);
	const first = await cell();
	await page.waitForFunction((old) => document.querySelector('tbody tr td:nth-child(6)').textContent !== old, first, { timeout: 60000 });
	await page.getByRole('button', { name: 'Pause live updates' }).click();
	let asked = 0;
	await page.waitForSelector('[data-feed=paused]');
	await page.waitForTimeout(300);
	page.on('request', (r) => { asked += r.url().endsWith('/api/v1/mqtt') ? 1 : 0; });
	await page.waitForTimeout(3000);
	assert.equal(asked, 0);
	await page.close();
});

test('a new source is offered as a table, on its page and on the list of streams', { skip }, async () => {
	for (const route of ['/streams', '/mqtt']) {
		const page = await browser.newPage();
		await page.goto(mock.url + route);
		await page.getByRole('heading', { name: 'New sources seen' }).waitFor();
		await page.getByRole('button', { name: 'A table for zigbee2mqtt/+' }).click();
		assert.match(await page.getByRole('group', { name: 'Proposed table for zigbee2mqtt/+' }).innerText(), /^CREATE TABLE zigbee2mqtt \(\n {2}zigbee2mqtt text NOT NULL,\n {2}temperature double precision,\n {2}battery bigint,\n {2}occupancy boolean,\n {2}last_seen timestamptz NOT NULL\n\) WITH \(event_time = 'last_seen', mqtt = 'zigbee2mqtt\/\{zigbee2mqtt\}'\);$/);
		await page.getByRole('button', { name: 'A table for camera/snapshot' }).click();
		await page.getByText('no columns can be guessed').waitFor();
		await page.close();
	}
});

test("a stream's senders: MQTT clients and HTTP addresses", { skip }, async () => {
	const page = await browser.newPage();
	await page.goto(mock.url + '/streams/readings?tab=sources');
	await page.getByRole('group', { name: 'Sources, table' }).waitFor();
	await page.getByText('MQTT 5.0 · WebSocket').waitFor();
	const rows = await heads(page, 'Sources');
	assert.ok(rows.some((r) => /^gw-2\s+MQTT 3\.1\.1\s+[\d,]{5,}\s+2\.5\/s\s+2\s+/.test(r)), rows.join('\n'));
	assert.ok(rows.some((r) => /^127\.0\.0\.1\s+HTTP\s/.test(r)), rows.join('\n'));
	await page.close();
});

test('without clients: commands that fit this stream', { skip }, async () => {
	const page = await browser.newPage();
	await page.goto(bare.url + '/mqtt');
	await page.getByRole('heading', { name: 'No clients yet' }).waitFor();
	await page.getByText('mosquitto_pub').waitFor();
	assert.equal(await page.getByText('mosquitto_sub').innerText(), "mosquitto_sub -h 127.0.0.1 -p 1883 -v -t '#'");
	assert.match(await page.getByText('mosquitto_pub').innerText(), /^mosquitto_pub -h 127\.0\.0\.1 -p 1883 -q 1 -t 'rooms\/room-1\/occupants' -m '\{"reading_id":"test-\w+","ts":"[^"]+","value":2500\}'$/);
	await page.close();
});

for (const width of widths)
	test(`axe finds nothing, also with all opened, light and dark, ${width} px`, { skip, timeout: 600000 }, async () => {
		const c = await still(browser, width);
		const page = await c.newPage();
		for (const url of [mock.url + '/mqtt', mock.url + '/streams', mock.url + '/streams/readings?tab=sources', bare.url + '/mqtt']) {
			await page.goto(url);
			await page.waitForSelector('.card');
			await page.waitForTimeout(500);
			for (const b of await page.getByRole('button', { name: /^A table for/ }).all())
				await b.click();
			await clean(page, url);
		}
		await c.close();
	});
