/* What axe-core finds on a page, in both themes of one load: a change of theme
 * draws everything anew, as a reader's system would have it at night. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';

const source = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const runOnly = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
/** Widths that are looked at. A narrow page begins light, a wide one dark. */
export const widths = [320, 1280];
const themes = (width) => width < 600 ? ['light', 'dark'] : ['dark', 'light'];

/** A context in which a page may be looked at. */
export const still = (browser, width) => browser.newContext({ viewport: { width, height: 800 },
	colorScheme: themes(width)[0], bypassCSP: true, reducedMotion: 'reduce' });

/** The page as it is now: nothing found, and nothing scrolls sideways. What
 * ${sign} selects is there in both themes; ${open} shows it where a drawing
 * anew takes it away. */
export async function clean(page, what, { sign, open } = {}) {
	if (!await page.evaluate(() => 'axe' in window))
		await page.addScriptTag({ content: source });
	const grounds = new Set();
	for (const colorScheme of themes(page.viewportSize().width)) {
		await page.emulateMedia({ colorScheme });
		/* Drawn anew by then. */
		await page.evaluate(() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r))));
		/* Or not yet: then what was opened is gone, and is opened again. */
		for (let left = 20; sign !== undefined; left--) {
			await open?.();
			const there = await page.waitForSelector(sign, open && left > 0 ? { timeout: 5000 } : {}).catch((e) => {
				if (!open || left === 0)
					throw e;
			});
			if (there)
				break;
		}
		const [ground, wide, found] = await page.evaluate(async (tags) => {
			const { violations } = await window.axe.run({ runOnly: tags, resultTypes: ['violations'] });
			return [getComputedStyle(document.body).backgroundColor, document.documentElement.scrollWidth > innerWidth,
				violations.map((v) => `${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 140)} ${n.failureSummary.slice(0, 200)}`).join(' | ')}`)];
		}, runOnly);
		assert.deepEqual(found, [], `${what}, ${colorScheme}`);
		assert.equal(wide, false, `${what}, ${colorScheme}: scrolls sideways`);
		grounds.add(ground);
	}
	assert.equal(grounds.size, 2, `${what}: both themes have one ground`);
	await page.emulateMedia({ colorScheme: themes(page.viewportSize().width)[0] });
}
