/* Sets the stored theme before the first paint; a classic script in the head
 * because a module would run after it. lib/prefs.js changes it later. */
(function () {
	try {
		var t = localStorage.getItem('tarn.theme');
		if (t === 'light' || t === 'dark')
			document.documentElement.dataset.theme = t;
	} catch (e) { /* Storage is refused: the system's theme then. */ }
})();
