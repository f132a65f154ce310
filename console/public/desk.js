// The page stays new by itself: it is asked again, and what stands in main takes the place of what stood there. Not while
// nobody sees it, and not under somebody's hands: while a form is filled in, text is marked, or an entry is open.
// @ts-check

/** @param {string} selector @returns {any[]} */
const inMain = (selector) => [...document.querySelectorAll(`main ${selector}`)];

function whatIsInHand() {
    const isFilled =
        inMain(':is(input, select, textarea, button):focus').length > 0 ||
        inMain(':is(input, textarea)').some((field) => field.value !== field.defaultValue) ||
        inMain('option').some((option) => option.value && option.selected !== option.defaultSelected);
    if (isFilled) return 'a form is filled in';
    if (!document.getSelection()?.isCollapsed) return 'text is marked';
    return inMain('details[open]').length > 0 ? 'an entry is open' : '';
}

/** @param {string} words */
const say = (words) => inMain('[data-refresh-state]').forEach((state) => (state.textContent = words));

async function refresh() {
    if (document.hidden) return;
    if (whatIsInHand()) return say(`; stands still while ${whatIsInHand()}`);
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(8000) }).catch(() => null);
    if (!answer?.ok || answer.redirected) return say(`; not as of now: ${answer?.status ?? 'no answer'}`);
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main');
    if (!next || whatIsInHand()) return;
    // Who goes through the page by keys stays on the link where he is.
    const place = inMain('a').indexOf(document.activeElement);
    document.querySelector('main')?.replaceChildren(...next.childNodes);
    inMain('a')[place]?.focus({ preventScroll: true });
}

const seconds = Number(document.querySelector('main')?.dataset.refresh);
if (seconds > 0) {
    setInterval(refresh, seconds * 1000);
    document.addEventListener('visibilitychange', refresh);
}
