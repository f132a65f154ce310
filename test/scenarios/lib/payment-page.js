// The two examples in JavaScript of docs/payments.md, as they are printed there, and what they make of each other: a server
// with a real database, and a browser of cardboard, whose Stripe.js pays at the simulator.
//
//   node payment-page.js CASE    {"route", "page": code; "database": for pg; "control": the simulator's URL}
//
// Prints what was seen, as JSON. What the page's code does not do (a redirect, a click) is done here.
const pg = require('pg');

const { route, page, database, control } = JSON.parse(process.argv[2]);
const pool = new pg.Pool(database);

// ---- the server: what of Express the example needs

let handle;
new Function('app', 'pool', route)({ post: (path, given) => { handle = given; } }, pool);

// What its answer to somebody's POST is. An error that it does not catch is Express's: a page that is no JSON.
async function post(path, user) {
  const answer = { status: 200, headers: {} };
  const response = {
    set: (name, value) => { answer.headers[name] = value; return response; },
    status: (code) => { answer.status = code; return response; },
    json: (value) => { answer.body = value; },
  };
  try {
    await handle({ params: { bill: path.split('/').pop() }, user: { id: user } }, response);
  } catch (error) {
    return { ...answer, status: 500, code: error.code };
  }
  return answer;
}

// ---- the browser

// Opens the page as somebody. `search`: with what Stripe.js has put into its address.
function open(user, { search = '', server = post } = {}) {
  const shown = { message: { textContent: '' }, begin: { hidden: false }, form: { hidden: true }, asked: 0 };
  const Stripe = () => ({
    elements: ({ clientSecret }) => ({
      clientSecret,
      create: (kind) => ({ mount: (place) => { shown.mounted = `${kind} ${place}`; } }),
    }),
    confirmPayment: async ({ elements, confirmParams }) => {
      shown.return_url = confirmParams.return_url;
      const intent = elements.clientSecret.split('_secret_')[0];
      await fetch(`${control}/payment_intents/${intent}`, {
        method: 'POST', body: JSON.stringify({ action: shown.card, client_secret: elements.clientSecret }),
      });
      return { error: { message: `card: ${shown.card}` } };
    },
  });
  const ask = async (path) => {
    shown.asked++;
    const answer = await server(path, user);
    return { json: async () => JSON.parse(JSON.stringify(answer.body)) };
  };
  const location = { origin: 'https://shop.example', pathname: '/bills/lunch', search };
  const history = { replaceState: (state, title, url) => { shown.address = url; } };
  new Function('Stripe', 'fetch', 'location', 'history', 'message', 'begin', 'form', page)(
    Stripe, ask, location, history, shown.message, shown.begin, shown.form);
  return shown;
}

const click = async (shown) => { await shown.begin.onclick(); return seen(shown); };
const pay = async (shown, card) => {
  shown.card = card;
  await shown.form.onsubmit({ preventDefault: () => {} });
  return seen(shown);
};
const seen = (shown) =>
  `${shown.message.textContent || '-'} | ${shown.begin.hidden ? '-' : 'button'} | ${shown.form.hidden ? '-' : 'form'}`;

async function until(condition) {
  while (!condition()) await new Promise((resolve) => { setTimeout(resolve, 10); });
}

// ---- the story

async function story() {
  const told = {};
  const cy = open('cy');
  told.opened = [seen(cy), cy.asked];
  told.clicked = [await click(cy), cy.mounted];
  told.declined = await pay(cy, 'fail');
  told.paid = [await pay(cy, 'succeed'), cy.return_url];
  const back = open('cy', { search: '?payment_intent=pi_1&payment_intent_client_secret=pi_1_secret_2&redirect_status=succeeded' });
  await until(() => back.message.textContent);
  told.returned = [seen(back), back.address];
  told.settled = await click(open('bob'));
  told.stranger = await click(open('mallory'));
  told.away = await click(open('ann', { server: async () => { throw new TypeError('Failed to fetch'); } }));
  const answers = [['lunch', 'ann'], ['lunch', 'bob'], ['lunch', 'mallory'], ['off', 'ann'], ['lunch', '\0']];
  told.answers = [];
  for (const [bill, user] of answers) {
    const { status, headers, body = {}, code = '' } = await post(`/pay/${bill}`, user);
    told.answers.push(`${status} ${headers['Cache-Control']} ${Object.keys(body)} ${body.state ?? code}`);
  }
  return told;
}

story().then((told) => { console.log(JSON.stringify(told)); return pool.end(); });
