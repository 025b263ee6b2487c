/* Login, and the one-time link that sets the password. The code comes in the
 * fragment, which browsers do not send to servers or into logs. */
import { html, useEffect, useRef, useState } from '../lib/html.js';
import { api, post } from '../lib/api.js';
import { ProblemBox } from '../ui/parts.js';
import { Logo } from '../ui/icons.js';

/** Where to go afterwards: only a path of this server.
 * @param {string} search */
export function nextPath(search) {
	const next = new URLSearchParams(search).get('next') || '/';
	try {
		const u = new URL(next, location.origin);
		return u.origin === location.origin && next.startsWith('/') ?
			u.pathname + u.search : '/';
	} catch {
		return '/';
	}
}

/** @param {{title: string, text: string, children: any}} p */
function Frame({ title, text, children }) {
	const head = useRef(/** @type {any} */ (null));
	useEffect(() => {
		document.title = `${title} – Tarn`;
	}, []);
	return html`<main class="login"><div class="card">
		<div class="brand" style=${{ padding: 0, height: 'auto' }}><${Logo} /><span>Tarn</span></div>
		<h1 ref=${head} tabindex="-1">${title}</h1><p class="secondary">${text}</p>${children}</div></main>`;
}

/** @param {{id: string, label: string, auto: string, value: string, set: (v: string) => void, hint?: string, type?: string}} p */
function Field({ id, label, auto, value, set, hint, type }) {
	return html`<div class="field"><label for=${id}>${label}</label>
		<input class="input" id=${id} name=${id} type=${type || 'password'} autocomplete=${auto} required value=${value}
			aria-describedby=${hint ? `${id}-hint` : undefined}
			onInput=${(/** @type {any} */ e) => set(e.target.value)} />
		${hint && html`<span class="muted small" id=${`${id}-hint`}>${hint}</span>`}</div>`;
}

function Login() {
	const [password, setPassword] = useState('');
	const [error, setError] = useState(/** @type {any} */ (null));
	const [busy, setBusy] = useState(false);
	useEffect(() => {
		api('/api/v1/session').then((s) => {
			if (s.scope !== 'none')
				location.replace(nextPath(location.search));
		}, () => {});
	}, []);
	const submit = async (/** @type {Event} */ e) => {
		e.preventDefault();
		setBusy(true);
		try {
			await post('/api/v1/login', { password });
			location.replace(nextPath(location.search));
		} catch (problem) {
			setError(problem);
			setBusy(false);
		}
	};
	return html`<${Frame} title="Log in" text="Enter the admin password of this Tarn.">
		<form onSubmit=${submit}><input type="text" class="vh" name="username" autocomplete="username" value="admin" readonly tabindex="-1" aria-hidden="true" />
			<${Field} id="password" label="Password" auto="current-password" value=${password} set=${setPassword} />
			${error && html`<${ProblemBox} error=${error} />`}
			<button class="btn primary" disabled=${busy}>Log in</button></form></${Frame}>`;
}

function Setup() {
	const [code, setCode] = useState(new URLSearchParams(location.hash.slice(1)).get('t') || '');
	const [password, setPassword] = useState('');
	const [error, setError] = useState(/** @type {any} */ (null));
	const [busy, setBusy] = useState(false);
	const linked = useRef(code !== '');
	useEffect(() => {
		/* The code must not stay in the history. */
		if (location.hash)
			history.replaceState(null, '', '/setup');
	}, []);
	const submit = async (/** @type {Event} */ e) => {
		e.preventDefault();
		if (password.length < 10) {
			setError({ title: 'The password is too short', detail: 'Ten characters or more.' });
			return;
		}
		setBusy(true);
		try {
			await post('/api/v1/setup', { code, password });
			location.replace('/');
		} catch (problem) {
			setError(problem);
			setBusy(false);
		}
	};
	return html`<${Frame} title="Welcome" text="Choose the admin password of this Tarn.">
		<form onSubmit=${submit}><input type="text" class="vh" name="username" autocomplete="username" value="admin" readonly tabindex="-1" aria-hidden="true" />
			${!linked.current && html`<${Field} id="code" type="text" label="Setup code" auto="one-time-code" value=${code} set=${setCode}
				hint="It is in the link that Tarn printed when it started." />`}
			<${Field} id="password" label="New password" auto="new-password" value=${password} set=${setPassword} hint="Ten characters or more" />
			${error && html`<${ProblemBox} error=${error} />`}
			<button class="btn primary" disabled=${busy}>Set password</button></form></${Frame}>`;
}

export const pages = { login: Login, setup: Setup };
