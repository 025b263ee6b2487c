/* The style sheet of the pages Lake and Runs, which the first view does without:
 * they wait for it, so that nothing jumps. One that does not come is done
 * without. */
const link = document.createElement('link');
link.rel = 'stylesheet';
link.href = new URL('../css/lake.css', import.meta.url).href;
export const sheet = new Promise((done) => {
	link.onload = link.onerror = () => done(null);
});
document.head.append(link);
