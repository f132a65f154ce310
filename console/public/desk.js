// The page stays new by itself: it is asked again, and what stands in main takes the place of what stood there. Not while
// nobody sees it, and not under somebody's hands: while a form is filled in, or text is marked to be copied.
// @ts-check

const seconds = Number(document.querySelector('main')?.dataset.refresh);

/** @param {string} words */
function say(words) {
    const state = document.querySelector('[data-refresh-state]');
    if (state) state.textContent = words;
}

function isTouched() {
    const fields = [
        .../** @type {NodeListOf<HTMLInputElement>} */ (document.querySelectorAll('main :is(input, textarea)')),
    ];
    const isChosen = [.../** @type {NodeListOf<HTMLOptionElement>} */ (document.querySelectorAll('main option'))].some(
        (option) => option.selected !== option.defaultSelected && option.value !== '',
    );
    return (
        isChosen ||
        document.activeElement?.matches('main :is(input, select, textarea, button)') ||
        fields.some((field) => field.value !== field.defaultValue)
    );
}

async function refresh() {
    if (document.hidden) return;
    if (isTouched()) return say('; stands still while a form is filled in');
    if (!document.getSelection()?.isCollapsed) return say('; stands still while text is marked');
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(8000) }).catch(() => null);
    if (!answer?.ok || answer.redirected) return say(`; not as of now: ${answer ? answer.status : 'no answer'}`);
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main');
    const main = document.querySelector('main');
    if (!next || !main || isTouched() || !document.getSelection()?.isCollapsed) return;
    const open = [...main.querySelectorAll('details')].map((details) => details.open);
    const focused = [...main.querySelectorAll('a, summary')].indexOf(/** @type {Element} */ (document.activeElement));
    const at = document.activeElement?.textContent;
    main.replaceChildren(...next.childNodes);
    main.querySelectorAll('details').forEach((details, place) => (details.open = open[place] ?? false));
    const same = /** @type {HTMLElement | undefined} */ (main.querySelectorAll('a, summary')[focused]);
    if (same?.textContent === at) same?.focus({ preventScroll: true });
}

async function goOn() {
    await refresh();
    setTimeout(goOn, seconds * 1000);
}

if (seconds > 0) {
    setTimeout(goOn, seconds * 1000);
    document.addEventListener('visibilitychange', refresh);
}
