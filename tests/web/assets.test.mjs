/* Goal: what is embedded is complete, parses, and fits the budget. */
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const top = path.join(path.dirname(fileURLToPath(import.meta.url)), '../..');
const out = fs.mkdtempSync(path.join(os.tmpdir(), 'tarn-assets-'));
execFileSync(path.join(top, 'packaging/assets.sh'), [path.join(top, 'web'), out]);
const files = fs.readdirSync(path.join(out, 'root'), { recursive: true })
	.filter((f) => fs.statSync(path.join(out, 'root', f)).isFile());
test.after(() => fs.rmSync(out, { recursive: true }));

test('the first route and the whole fit their budgets', () => {
	const r = spawnSync('sh', [path.join(top, 'web/size.sh')], { encoding: 'utf8' });
	assert.equal(r.status, 0, r.stdout + r.stderr);
});

test('every stripped script still parses and has no comments left', () => {
	for (const f of files.filter((x) => x.endsWith('.js'))) {
		const text = fs.readFileSync(path.join(out, 'root', f), 'utf8');
		const r = spawnSync(process.execPath, ['--check', '--input-type=module'], { input: text, encoding: 'utf8' });
		assert.equal(r.status, 0, `${f}: ${r.stderr}`);
		if (!f.includes('vendor/'))
			assert.ok(!/^\s*\/?\*/m.test(text), `${f} has a comment`);
	}
});

test('every import and every address in index.html leads to a file', () => {
	for (const f of files.filter((x) => x.endsWith('.js'))) {
		const text = fs.readFileSync(path.join(out, 'root', f), 'utf8');
		for (const m of text.matchAll(/(?:from|import)\s*\(?\s*["'](\.[^"']+)["']/g))
			assert.ok(fs.existsSync(path.join(out, 'root', path.dirname(f), m[1])), `${f}: ${m[1]}`);
	}
	const index = fs.readFileSync(path.join(out, 'root/index.html'), 'utf8');
	assert.ok(!index.includes('__ASSETS__'));
	const links = [...index.matchAll(/(?:href|src)="([^"]+)"/g)];
	assert.ok(links.length > 5);
	for (const m of links)
		assert.ok(files.includes(m[1].slice(1)), m[1]);
});

test('what main.js imports is one file, and what comes later takes from it what is there', () => {
	const at = path.join(out, 'root/assets', fs.readdirSync(path.join(out, 'root/assets'))[0]);
	const text = fs.readFileSync(path.join(at, 'main.js'), 'utf8');
	for (const m of text.matchAll(/^import .* from '([^']+)';$/gm))
		assert.match(m[1], /^\.\/(vendor\/|lib\/state\.js)/, m[1]);
	const given = new Map([...text.matchAll(/^const (m\d+) = \(\(\) => \{\n[\s\S]*?\nreturn \{(.*)\};\n\}\)\(\);$/gm)]
		.map((m) => [m[1], m[2].split(',').map((n) => n.trim().split(':')[0])]));
	assert.ok(given.size > 10);
	let taken = 0;
	for (const f of files.filter((x) => x.endsWith('.js') && !x.endsWith('/main.js'))) {
		const later = fs.readFileSync(path.join(out, 'root', f), 'utf8');
		for (const m of later.matchAll(/^import \{ (m\d+) \} from '(.*)';\nconst \{(.*)\} = (m\d+);$/gm)) {
			assert.equal(path.join(path.dirname(f), m[2]), path.relative(path.join(out, 'root'), path.join(at, 'main.js')));
			assert.equal(m[1], m[4]);
			for (const n of m[3].split(',').map((x) => x.trim().split(':')[0]))
				assert.ok(given.get(m[1]).includes(n), `${f}: ${n}`);
			taken++;
		}
	}
	assert.ok(taken > 20, String(taken));
	assert.ok(!fs.existsSync(path.join(at, 'ui/shell.js')));
});

test('index.html holds no inline script or style', () => {
	const index = fs.readFileSync(path.join(out, 'root/index.html'), 'utf8');
	assert.ok(!/<script(?![^>]*src=)[^>]*>|<style|\son\w+=|\sstyle=/i.test(index));
});

test('notes, tools and tests are not embedded', () => {
	assert.ok(!files.some((f) => /\.(md|sh|awk)$|package\.json/.test(f)));
});

test('a change of one byte changes the folder; no change does not', () => {
	const web = path.join(out, 'web2');
	const hash = () => {
		execFileSync(path.join(top, 'packaging/assets.sh'), [web, path.join(out, 'o2')]);
		return fs.readdirSync(path.join(out, 'o2/root/assets'))[0];
	};
	fs.cpSync(path.join(top, 'web'), web, { recursive: true });
	const a = hash();
	assert.match(a, /^[0-9a-f]{12}$/);
	assert.equal(hash(), a);
	fs.appendFileSync(path.join(web, 'css/tokens.css'), ':root { --x: 1px; }\n');
	assert.notEqual(hash(), a);
});

test('the table assembles and reads back, sorted, in a position-independent program', () => {
	const c = path.join(out, 't.c');
	fs.writeFileSync(c, `#include <stdint.h>
#include <stdio.h>
#include <string.h>
struct a { const char *path, *type, *etag; const uint8_t *gz; uint64_t gz_bytes;
	const uint8_t *plain; uint64_t plain_bytes, immutable; };
extern const struct a tn_http_assets[];
extern const uint64_t tn_http_asset_count;
int main(void) {
	for (uint64_t i = 0; i < tn_http_asset_count; i++) {
		const struct a *x = &tn_http_assets[i];
		if (i > 0 && strcmp(tn_http_assets[i - 1].path, x->path) >= 0) return 2;
		if (x->gz[0] != 0x1f || x->gz[1] != 0x8b || x->etag[0] != '"') return 3;
		printf("%s|%lu|%lu\\n", x->path, (unsigned long)x->plain_bytes, (unsigned long)x->immutable);
	}
	return 0;
}
`);
	execFileSync('gcc', ['-fPIE', '-pie', '-Wl,-z,relro,-z,now,--fatal-warnings', '-o', path.join(out, 't'), c, path.join(out, 'assets.S')]);
	const lines = execFileSync(path.join(out, 't'), { encoding: 'utf8' }).trim().split('\n');
	assert.equal(lines.length, files.length);
	for (const l of lines) {
		const [p, n, immutable] = l.split('|');
		assert.equal(fs.statSync(path.join(out, 'root', p)).size, Number(n));
		assert.equal(immutable, p.startsWith('/assets/') ? '1' : '0');
	}
});

test("our own files are short, and no colour stands outside tokens.css", () => {
	for (const f of fs.readdirSync(path.join(top, 'web'), { recursive: true })) {
		if (f.startsWith('vendor') || !/\.(js|css)$/.test(f))
			continue;
		const text = fs.readFileSync(path.join(top, 'web', f), 'utf8');
		assert.ok(text.split('\n').length <= 400, `${f} is too long`);
		if (f !== 'css/tokens.css')
			assert.ok(!/#[0-9a-f]{6}\b|rgba?\(|hsla?\(/i.test(text), `${f} has a colour`);
	}
});
