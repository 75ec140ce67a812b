#!/usr/bin/env node
// The whole story with @grpc/grpc-js: register, login, follow, post, read, stream live, delete; and what goes wrong.
// Prints TAP. Needs ROOKERY_GATEWAY (ADDR:PORT of a gateway with workers behind it).
'use strict';
const { execFileSync } = require('child_process');
const crypto = require('crypto');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const PATIENCE_MS = 30000;
const files = ['account', 'graph', 'post', 'timeline'].map((name) => `rookery/v1/${name}.proto`);
const definition = loader.loadSync(files, {
  includeDirs: [path.join(__dirname, '../../proto'), '/usr/include'], longs: String, defaults: true, oneofs: true,
});
const v1 = grpc.loadPackageDefinition(definition).rookery.v1;
const clients = {};
for (const name of ['AccountService', 'GraphService', 'PostService', 'TimelineService'])
  clients[name] = new v1[name](process.env.ROOKERY_GATEWAY, grpc.credentials.createInsecure());

let count = 0;
let failed = 0;

function check(name, passed, said) {
  count += 1;
  if (!passed) failed += 1;
  console.log(`${passed ? 'ok' : 'not ok'} ${count} - ${name}`);
  if (!passed && said !== undefined) console.log('# ' + JSON.stringify(said));
}

function credentials(token) {
  const metadata = new grpc.Metadata();
  if (token) metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

function rpc(service, method, request, token) {
  const options = { deadline: Date.now() + PATIENCE_MS };
  return new Promise((resolve, reject) => {
    clients[service][method](request, credentials(token), options, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
}

async function failsWith(name, code, promise, word = '') {
  try {
    await promise;
    check(name, false, 'the call succeeded');
  } catch (error) {
    check(name, error.code === code && error.details.includes(word), `${error.code}: ${error.details}`);
  }
}

async function eventually(predicate) {
  for (const end = Date.now() + PATIENCE_MS; Date.now() < end; await new Promise((wake) => setTimeout(wake, 20)))
    if (await predicate()) return true;
  return false;
}

async function person(name) {
  const handle = `${name}_${crypto.randomBytes(5).toString('hex')}`;
  const reply = await rpc('AccountService', 'Register', { handle, password: 'correct horse battery' });
  return { handle, id: reply.account.id, token: reply.token };
}

async function homeIds(who) {
  const reply = await rpc('TimelineService', 'GetHomeTimeline', { pageSize: 100 }, who.token);
  return reply.items.map((item) => item.id);
}

// A live stream whose events are awaited by kind.
function liveFeed(who) {
  const call = clients.TimelineService.StreamHomeTimeline({}, credentials(who.token));
  const received = [];
  call.on('data', (message) => received.push(message));
  call.on('error', () => {});
  const next = async (kind) => {
    const at = () => received.findIndex((message) => message.event === kind);
    await eventually(() => at() >= 0);
    return at() >= 0 ? received.splice(at(), 1)[0] : undefined;
  };
  return { next, cancel: () => call.cancel() };
}

// A session as Login gives it, whose time is over.
async function expiredToken(who) {
  const { token } = await rpc('AccountService', 'Login', { handle: who.handle, password: 'correct horse battery' });
  const script = '. "$ROOKERY_TEST_STACK/run/env" && psql -X -q -v ON_ERROR_STOP=1 -d "$DATABASE_URL" -c "$1"';
  const query = `UPDATE sessions SET expires_at = now() - interval '1 second' WHERE token_hash = sha256('${token}')`;
  execFileSync('bash', ['-c', script, '-', query]);
  return token;
}

async function errors(ada) {
  const status = grpc.status;
  const text = (value) => rpc('PostService', 'CreatePost', { text: value }, ada.token);
  await failsWith('a wrong password is refused', status.UNAUTHENTICATED,
    rpc('AccountService', 'Login', { handle: ada.handle, password: 'wrong password' }));
  await failsWith('a duplicate handle is refused, by name', status.ALREADY_EXISTS,
    rpc('AccountService', 'Register', { handle: ada.handle, password: 'another one' }), 'handle');
  await failsWith('an empty text is refused, by name', status.INVALID_ARGUMENT, text(''), 'text');
  await failsWith('an over-long text is refused, by name', status.INVALID_ARGUMENT, text('x'.repeat(501)), 'text');
  await failsWith('an unknown post is not found', status.NOT_FOUND,
    rpc('PostService', 'GetPost', { postId: '1' }, ada.token), 'post_id');
  await failsWith('an unknown account cannot be followed', status.NOT_FOUND,
    rpc('GraphService', 'Follow', { accountId: '1' }, ada.token), 'account_id');
  await failsWith('a token that is no session is refused', status.UNAUTHENTICATED,
    rpc('TimelineService', 'GetHomeTimeline', {}, 'no-such-token'));
  await failsWith('a token that has expired is refused', status.UNAUTHENTICATED,
    rpc('TimelineService', 'GetHomeTimeline', {}, await expiredToken(ada)));
  await failsWith('a bad page token is refused, by name', status.INVALID_ARGUMENT,
    rpc('TimelineService', 'GetHomeTimeline', { pageToken: 'bad' }, ada.token), 'page_token');
}

async function main() {
  const ada = await person('ada');
  const bob = await person('bob');
  const login = await rpc('AccountService', 'Login', { handle: ada.handle, password: 'correct horse battery' });
  check('logging in gives another session of the same account', login.account.id === ada.id && login.token !== ada.token);
  await errors(ada);
  await rpc('GraphService', 'Follow', { accountId: ada.id }, bob.token);
  const feed = liveFeed(bob);
  check('a live stream says when it is live', (await feed.next('heartbeat')) !== undefined);
  const { post } = await rpc('PostService', 'CreatePost', { text: 'Grüße, #Welt 🐧' }, ada.token);
  check('the author sees their own post at once', (await homeIds(ada))[0] === post.id);
  check('the follower gets it', await eventually(async () => (await homeIds(bob))[0] === post.id));
  const item = await feed.next('item');
  check('it comes live, with its author', item && item.item.id === post.id && item.accounts[0].handle === ada.handle, item);
  check('text and tags survive', item && item.item.post.text === 'Grüße, #Welt 🐧' && post.hashtags[0].tag === 'welt', post);
  await rpc('PostService', 'DeletePost', { postId: post.id }, ada.token);
  check('a deleted post is gone at the next read', !(await homeIds(bob)).includes(post.id));
  const gone = await feed.next('deletedId');
  check('the deletion comes live', gone && gone.deletedId === post.id, gone);
  feed.cancel();
  console.log(`1..${count}`);
  process.exit(failed > 0 ? 1 : 0);
}

main().catch((error) => {
  console.log(`Bail out! ${error.stack}`);
  process.exit(1);
});
