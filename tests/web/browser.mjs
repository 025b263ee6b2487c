/* Chromium for the page's tests: no downloads, no outside connections. */
import { chromium } from 'playwright-core';
import fs from 'node:fs';

export const executablePath = process.env.CHROMIUM || '/usr/bin/chromium';
export const present = fs.existsSync(executablePath);

export function launch() {
	return chromium.launch({ executablePath, headless: true, args: ['--no-sandbox', '--disable-gpu',
		'--disable-quic', '--no-first-run', '--disable-background-networking',
		'--disable-component-update', '--disable-sync'] });
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
