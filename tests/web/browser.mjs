/* Chromium for the page's tests: no downloads, no outside connections. */
import { chromium } from 'playwright-core';
import fs from 'node:fs';

export const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
export const present = fs.existsSync(executablePath);

/** On a starved machine 30 s (Playwright's patience) are not much. */
export async function launch() {
	const b = await chromium.launch({ executablePath, headless: true, timeout: 180000, args: ['--no-sandbox', '--disable-gpu',
		'--disable-quic', '--no-first-run', '--disable-background-networking',
		'--disable-component-update', '--disable-sync'] });
	for (const what of ['newPage', 'newContext']) {
		const made = b[what].bind(b);
		b[what] = async (o) => {
			const x = await made(o);
			x.setDefaultTimeout(120000);
			return x;
		};
	}
	return b;
}

/** The keys g and ${key}, which belong together for a second: again until the page is where they lead. */
export async function go(page, key, where) {
	for (let left = 20; ; left--) {
		await page.keyboard.press('g');
		await page.keyboard.press(key);
		const there = await page.waitForURL(where, left > 0 ? { timeout: 5000 } : {}).then(() => true, (e) => {
			if (left === 0)
				throw e;
		});
		if (there)
			return;
	}
}

/** Collects what the page complains about. */
export function listen(page) {
	const errors = [];
	page.on('console', (m) => {
		if (m.type() === 'error' || m.type() === 'warning')
			errors.push(m.text());
	});
	page.on('pageerror', (e) => errors.push(String(e.stack || e)));
	return errors;
}
