// The example in JavaScript of monitoring/README.md, as it is printed there, behind as much of Express as it needs.
//
//   node metrics-page.js CASE    {"route": code; "port": where to listen; "database": for pg}
const http = require('http');
const pg = require('pg');

const { route, port, database } = JSON.parse(process.argv[2]);
const pool = new pg.Pool(database);
let page, handle;
new Function('app', 'pool', route)({ get: (path, given) => { page = path; handle = given; } }, pool);

http.createServer((request, answer) => {
  const response = {
    type: (value) => { answer.setHeader('Content-Type', value); return response; },
    send: (text) => { answer.end(text); },
  };
  const failed = (error) => { answer.statusCode = 500; answer.end(String(error)); };
  if (request.url === page) handle(request, response).catch(failed);
  else failed('no such page');
}).listen(Number(port), '127.0.0.1');
