#!/usr/bin/env node
// examples/node/client.js, as its opening comment says it is run: its packages are those that scripts/test has installed by
// its lock file. Prints TAP. Needs ROOKERY_GATEWAY.
'use strict';
const { spawnSync } = require('child_process');
const path = require('path');

const client = path.join(__dirname, '../../examples/node/client.js');
const run = spawnSync(process.execPath, [client, process.env.ROOKERY_GATEWAY], { encoding: 'utf8', timeout: 240000 });
const lines = run.stdout.split('\n');
const said = (prefix) => lines.filter((line) => line.startsWith(prefix)).map((line) => line.slice(prefix.length));
const away = [1, 2, 3, 4].map((i) => `while away ${i}`);
const home = [...away].reverse().concat('Hello from Node', 'An older post');
const results = [
  ['the client runs', run.status === 0],
  ['it hears live', said('live: ').join() === 'Hello from Node'],
  ['what was posted while its stream was cut comes once, and in order', said('resumed: ').join() === away.join()],
  ['at a reset it reads the timeline again, which has another person\'s posts', said('again: ').join() === home.join()],
  ['it reads page by page', said('home: ').join() === home.join()],
  ['its job has a row for each species', ['Adelie', 'Chinstrap', 'Gentoo'].every((name) => lines.some((line) => line.startsWith(`${name},ok,`)))],
];
results.forEach(([name, passed], i) => console.log(`${passed ? 'ok' : 'not ok'} ${i + 1} - ${name}`));
const failed = results.some(([, passed]) => !passed);
if (failed) console.log(`# ${(run.stdout + run.stderr).replaceAll('\n', '\n# ')}`);
console.log(`1..${results.length}`);
process.exit(failed ? 1 : 0);
