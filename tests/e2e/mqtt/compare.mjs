// What two brokers said to the same script, side by side. What the standards
// leave to a broker, and where mosquitto 2.0 is known to break them, is named
// here, each with its paragraph (of 5.0 unless it says another one), and nothing
// else is let pass.

import { again1 } from './script.mjs';

/** {name: [paragraph and reason, how many times it was needed]} */
export const exceptions = {
  copies: ['3.3.4: a server may send further copies of a message to a client whose subscriptions overlap. mosquitto does; the copies are taken as one, of the highest QoS, with all identifiers', 0],
  matching: ['3.4.2.1, 3.5.2.1: whether a message without subscribers is acknowledged with 0x10 or 0x00 is the server\'s choice', 0],
  silent: ['3.1.4-3, 4.13.1: who is taken over is told by DISCONNECT 0x8E, who fell silent may be by 0x8D. mosquitto 2.0 closes without a word', 0],
  shared: ['3.3.1.3: retained messages are sent for a subscription that is not shared. mosquitto 2.0.11 sends them to members', 0],
  ownWill: ['3.1.2-8: a will is published after the connection was closed. mosquitto sends it to the very client that is taken over', 0],
  reason: ['4.13.1, 3.7.2.1: who breaks the protocol is cut off; by which code it is told, or by none, is the server\'s choice (mqtt_statements.test.mjs looks at ours)', 0],
  members: ['4.8.2: which member of a shared subscription gets a message is the server\'s choice: members are taken as one', 0],
};
const used = (name) => { exceptions[name][1]++; };

const kind = (x) => JSON.stringify([x.topic, x.text, x.props]);
/** Two of one message as one: the highest QoS, and what both bear. */
function join(a, b) {
  const best = b.qos > a.qos ? b : a;
  return { ...best, at: best.at, ids: [...a.ids, ...b.ids].sort((p, q) => p - q), retain: a.retain || b.retain, wrongId: a.wrongId || b.wrongId };
}

/** Copies of one message as one, where the most valuable one stood. Of ours only retained ones, of which each filter of a
 * SUBSCRIBE brings its own, be they sent again, and empty ones, which look alike; all of them (${any}) where the message itself was sent twice. */
function merge(notes, any) {
  const groups = new Map();
  for (const [at, x] of notes.entries())
    if (x.answer === undefined) groups.set(kind(x), [...groups.get(kind(x)) ?? [], { ...x, at }]);
  const out = notes.map((x, at) => ({ ...x, at }));
  for (const g of groups.values()) {
    if (g.length < 2 || !(any || g.some((x) => x.retain || x.dup || x.text === ''))) continue;
    if (any) used('copies');
    const one = g.reduce(join);
    for (const x of g) out[x.at] = x.at === one.at ? one : null;
  }
  return out.filter((x) => x !== null);
}

/** Sent to the end over two connections, a message may be delivered over each of them, as another one, too. */
const opened = (x) => ({ ...x, dup: false, ids: [...new Set(x.ids)] });

const shown = (x) => `${x.topic} ${JSON.stringify(x.text.length > 40 ? `${x.text.slice(0, 20)}...${x.text.length}` : x.text)} qos=${x.qos}${x.retain ? ' retain' : ''}${x.dup ? ' dup' : ''}${x.wrongId ? ' WRONG IDENTIFIER' : ''}`
  + `${x.ids.length ? ` ids=${x.ids}` : ''}${x.props === '{}' ? '' : ` ${x.props}`}`;

/** Answers of a kind in their order (of PUBRELs, which may come in that of any PUBRECs, the client looks at
 * it); messages of each topic and QoS of their publisher in theirs (4.6, where members of a shared
 * subscription have none). */
function lists(label, notes, step, qos) {
  const all = {}, free = label === 'members' || step.do === 'open';
  for (const x of notes) {
    if (x.answer !== undefined) (all[x.answer.split(' ', 1)[0]] ??= []).push(x.answer);
    else (all[`${x.topic} ${x.qos} ${qos.get(x.text) ?? 'empty'}`] ??= []).push(shown(step.do === 'open' ? opened(x) : x));
  }
  for (const [k, l] of Object.entries(all)) if (free || k === 'PUBREL') l.sort();
  return all;
}

/** The answer as it counts; null: it does not. */
function plain(answer, step) {
  if (step.do === 'wrong' && answer.startsWith('DISCONNECT')) {
    used('reason');
    return null;
  }
  if (step.do === 'wrong' && answer === 'PUBCOMP of nothing 146') {
    used('reason');
    return 'PUBCOMP of nothing 0';
  }
  const m = /^(PUB(?:ACK|REC) of .*) 16$/.exec(answer);
  if (m) used('matching');
  return m ? `${m[1]} 0` : answer;
}

/** What mosquitto does not say. */
function say(label, notes, step) {
  const reason = isOld(label) && step.do === 'connect' ? 142 : step.do === 'tick' ? 141 : 0;
  const at = notes.findIndex((x) => x.answer === 'closed' && x.v === 5);
  if (!reason || at < 0 || notes.some((x) => x.answer?.startsWith('DISCONNECT'))) return notes;
  used('silent');
  return notes.toSpliced(at, 0, { answer: `DISCONNECT ${reason}` });
}
const isOld = (label) => / \(old\)$/.test(label);

/** Of each message, by its payload: ${what} of it and its step. */
const published = (script, what) => new Map(script.steps.flatMap((s) => [s.will, s.message, ...s.messages ?? []].filter((m) => m?.payload)
  .flatMap((m) => [[m.payload, what(m, s)], ...(s.do === 'open' ? [[again1(m.payload), what(m, s)]] : [])])));

/** What mosquitto says and should not. */
function unsay(label, notes, step, script) {
  const by = published(script, (m, s) => s.c);
  const client = script.clients.find((c) => c.id === step.c);
  const why = (x) => {
    if (isOld(label) && step.do === 'connect' && by.get(x.text) === step.c) return 'ownWill';
    return step.do === 'subscribe' && client.member && x.retain ? 'shared' : null;
  };
  const gone = notes.filter((x) => x.answer === undefined && why(x));
  for (const x of gone) used(why(x));
  return notes.filter((x) => !gone.includes(x) && !gone.some((g) => x.answer === `PUBREL of ${g.text} 0`));
}

/** A PUBREL for each copy. */
const once = (notes) => notes.filter((x, i) => !x.answer?.startsWith('PUBREL') || notes.findIndex((y) => y.answer === x.answer) === i);

const theirOwn = (label, notes, step, script) => once(merge(say(label, unsay(label, notes, step, script), step), true));

/** Labels of members of shared subscriptions are one. */
function gather(notes, script, step, clear) {
  const out = {};
  for (const [label, list] of Object.entries(notes)) {
    const member = script.clients.find((c) => c.id === label)?.member;
    for (const x of clear(label, list)) {
      const to = member && (x.answer ?? 'PUBREL').startsWith('PUBREL') ? 'members' : label;
      if (to === 'members') used('members');
      const answer = x.answer === undefined ? undefined : plain(x.answer, step);
      if (answer !== null) (out[to] ??= []).push({ ...x, answer });
    }
  }
  return out;
}

/** Lines for the first step in which ${ours} and ${theirs} are not the same; none: they are. */
export function compare(script, ours, theirs) {
  const qos = published(script, (m) => m.qos);
  for (let i = 0; i < script.steps.length; i++) {
    const step = script.steps[i], lines = [];
    const a = gather(ours[i], script, step, (label, list) => once(merge(list, step.do === 'open')));
    const b = gather(theirs[i], script, step, (label, list) => theirOwn(label, list, step, script));
    for (const label of new Set([...Object.keys(a), ...Object.keys(b)])) {
      const x = lists(label, a[label] ?? [], step, qos), y = lists(label, b[label] ?? [], step, qos);
      for (const k of new Set([...Object.keys(x), ...Object.keys(y)]))
        if (JSON.stringify(x[k]) !== JSON.stringify(y[k]))
          lines.push(`  ${label}:`, ...(x[k] ?? []).map((s) => `    tarn      ${s}`), ...(y[k] ?? []).map((s) => `    mosquitto ${s}`));
    }
    if (lines.length > 0) return { step: i, lines };
  }
  return null;
}

/** The script with as few steps as show a difference still. ${differences}: judges several at once. Ends when ${until} has come. */
export async function shrink(script, differences, until) {
  let best = script;
  const without = (gone) => ({ ...best, steps: best.steps.filter((s, i) => !gone(i)) });
  for (let size = Math.ceil(best.steps.length / 2); size >= 1 && Date.now() < until;) {
    const parts = Array.from({ length: Math.ceil(best.steps.length / size) }, (_, i) => (at) => Math.floor(at / size) === i);
    const found = await differences(parts.map(without));
    const idle = parts.filter((p, i) => found[i] !== null);
    const all = without((at) => idle.some((p) => p(at)));
    if (idle.length > 1 && (await differences([all]))[0] !== null) best = all;
    else if (idle.length > 0) best = without(idle.at(-1));
    else size = size === 1 ? 0 : Math.ceil(size / 2);
  }
  return best;
}

const brief = (s) => JSON.stringify(s, (k, v) => (v === undefined || (typeof v === 'object' && v !== null && !Array.isArray(v) && Object.keys(v).length === 0) ? undefined : v));
/** For people: the steps, and where the brokers differ. */
export const report = (script, d) => [`seed ${script.seed}, ${JSON.stringify(script.kind)}`, ...script.steps.slice(0, d.step + 1).map((s, i) => `${i === d.step ? '>' : ' '} ${brief(s)}`), ...d.lines].join('\n');
