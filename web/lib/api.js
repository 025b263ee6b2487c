/* Requests to the server. A failure is thrown as a Problem with the server's
 * title, detail and hint, so that a page can show them as they are. */

export class Problem extends Error {
	/** @param {number} status @param {Record<string, any>} body */
	constructor(status, body) {
		super(body.detail || body.title || `HTTP ${status}`);
		this.status = status;
		this.title = body.title || (status === 0 ?
			'The server cannot be reached' : `HTTP ${status}`);
		this.detail = body.detail || '';
		this.hint = body.hint || '';
		this.body = body;
	}
}

/** Called when the server wants a login; main.js sets it. */
export const hooks = { denied: () => {} };

/** JSON in which a number that JavaScript would round stays a text, where the
 *  browser tells how it was written. @param {string} text @returns {any} */
export function parseExact(text) {
	if (!/[\d.]{17}/.test(text))
		return JSON.parse(text);
	return JSON.parse(text, (/** @type {any[]} */ ...[, v, c]) => {
		const s = typeof v === 'number' && c?.source || '';
		return s === '' || /e/i.test(s) || String(v) === (s.includes('.') ? s.replace(/\.?0+$/, '') : s) || v === 0 ? v : s;
	});
}

/** ${exact}: for people to read, see parseExact. @param {string} path
 *  @param {RequestInit & {exact?: boolean}} [init] @returns {Promise<any>} */
export async function api(path, { exact, ...init } = {}) {
	let r;
	try {
		r = await fetch(path, { credentials: 'same-origin', ...init });
	} catch (e) {
		throw new Problem(0, { detail: 'Trying again when it answers.',
			title: 'The server cannot be reached', cause: String(e) });
	}
	const type = r.headers.get('content-type') || '';
	let body = null;
	if (r.status !== 204)
		body = type.includes('json') ? await (exact ? r.text().then(parseExact) : r.json()).catch(() => null) :
			await r.text();
	if (r.ok)
		return body;
	const problem = new Problem(r.status, body !== null &&
		typeof body === 'object' ? body : { detail: String(body ?? '') });
	if (r.status === 401)
		hooks.denied();
	throw problem;
}

/** @param {string} path @param {unknown} body */
export function post(path, body) {
	return api(path, { method: 'POST', body: body === undefined ? undefined :
		JSON.stringify(body), headers: body === undefined ? {} :
		{ 'content-type': 'application/json' } });
}
