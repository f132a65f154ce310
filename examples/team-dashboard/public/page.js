// What pages do by themselves. Everything works without it: what others do is then seen when a page is loaded again.

const formats = /** @type {Record<string, Intl.DateTimeFormatOptions>} */ ({
    clock: { hour: 'numeric', minute: '2-digit' },
    moment: { day: 'numeric', month: 'long', hour: 'numeric', minute: '2-digit' },
    day: { day: 'numeric', month: 'long', year: 'numeric' },
});

/** The reader's own times, instead of UTC. @param {ParentNode} root */
function localTimes(root) {
    for (const time of root.querySelectorAll('time')) {
        const date = new Date(time.dateTime);
        const today = date.toDateString() === new Date().toDateString();
        const format = time.dataset.as === 'day' ? 'day' : today ? 'clock' : 'moment';
        time.textContent = date.toLocaleString(navigator.language, formats[format]);
    }
}

document.addEventListener('click', ({ target }) => {
    const button = /** @type {Element} */ (target).closest('[data-step]');
    const input = button?.closest('form')?.querySelector('input[type=number]');
    if (!(button instanceof HTMLElement && input instanceof HTMLInputElement)) return;
    Number(button.dataset.step) > 0 ? input.stepUp() : input.stepDown();
    input.dispatchEvent(new Event('input', { bubbles: true }));
});

// That a form is sent once is the key's doing, at the server. This only shows that it was sent.
document.addEventListener('submit', (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (form.ariaBusy) return event.preventDefault();
    form.ariaBusy = 'true';
    // Later, as a button that is disabled now would not be sent along.
    setTimeout(() => form.querySelectorAll('button').forEach((button) => (button.disabled = true)));
});
addEventListener('pageshow', ({ persisted }) => persisted && location.reload());

/** A price that Stripe is being asked for comes without a reload. */
async function askAgain() {
    const asking = /** @type {HTMLElement | null} */ (document.querySelector('main [data-ask-again]'));
    if (!asking) return;
    await new Promise((resolve) => setTimeout(resolve, 1000 * Number(asking.dataset.askAgain)));
    try {
        const answer = await fetch(asking.dataset.from ?? location.href);
        const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
        const main = page.querySelector('main');
        main?.querySelectorAll('noscript').forEach((noscript) => noscript.remove()); // its refresh would take place
        if (main && !main.querySelector('[data-ask-again]')) {
            document.title = page.title;
            localTimes(main);
            document.querySelector('main')?.replaceWith(main);
            main.focus();
        }
    } catch {} // not connected: it is asked again
    askAgain();
}

const source = /** @type {HTMLElement | null} */ (document.querySelector('[data-events]'))?.dataset.events;
const note = Object.assign(document.createElement('p'), { className: 'banner disconnected', role: 'status' });
const waiting = /** @type {Map<string, Element>} */ (new Map());
let stream = /** @type {EventSource | undefined} */ (undefined);
let timer = /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined);
let failures = 0;
let asOf = new Date();

/** @param {Element} part */
const isInUse = (part) =>
    part.contains(document.activeElement) ||
    !!(getSelection()?.type === 'Range' && getSelection()?.containsNode(part, true));

/** What somebody is reading with the keyboard, or has marked, is replaced when he is done with it. */
function replaceParts() {
    for (const [id, part] of waiting) {
        const old = document.getElementById(id);
        if (old && isInUse(old)) continue;
        if (old && !old.isEqualNode(part)) old.replaceWith(part);
        waiting.delete(id);
    }
}

function heard() {
    [asOf, failures] = [new Date(), 0];
    note.remove();
    clearTimeout(timer);
    timer = setTimeout(lost, 40_000); // the server says every 15 seconds that what is shown is so
}

function lost() {
    note.textContent = `Not connected: this is as of ${asOf.toLocaleTimeString(navigator.language, formats.clock)}.`;
    if (!note.isConnected) document.querySelector('main')?.prepend(note);
    disconnect();
    timer = setTimeout(connect, Math.min(30_000, 1000 * 2 ** failures++) * (0.5 + Math.random()));
}

function disconnect() {
    clearTimeout(timer);
    stream?.close();
}

function connect() {
    disconnect();
    if (!source || document.hidden) return;
    stream = new EventSource(source);
    stream.addEventListener('parts', ({ data }) => {
        const template = document.createElement('template');
        template.innerHTML = Object.values(JSON.parse(data)).join('');
        localTimes(template.content);
        for (const part of template.content.children) waiting.set(part.id, part);
        replaceParts();
        heard();
    });
    stream.addEventListener('alive', heard);
    stream.addEventListener('gone', () => location.reload()); // no member any more, signed out, or with other rights
    stream.addEventListener('error', lost);
}

localTimes(document);
askAgain();
connect();
document.addEventListener('visibilitychange', connect);
for (const event of ['focusout', 'selectionchange']) document.addEventListener(event, () => setTimeout(replaceParts));
