#!/usr/bin/env node
// A client of Rookery in Node with gRPC.
//
//     cd examples/node && npm ci && node client.js [ADDR:PORT]       (default 127.0.0.1:8080)
//
// Registers three people; one follows the second, listens to their home timeline, and goes on where the stream ended after
// a cut; follows the third, whereupon the timeline is read again; then reads it page by page, and has a job fit a model to
// each species of examples/penguins.csv.
//
// The API is read from this repository's proto/, and the standard .proto files come with the packages.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const ADDRESS = process.argv[2] || '127.0.0.1:8080';
// How long an answer may take; longer than any that is well.
const PATIENCE_MS = 60000;
// No pause helps with these.
const { UNAUTHENTICATED, PERMISSION_DENIED, INVALID_ARGUMENT, UNIMPLEMENTED } = grpc.status;
const FINAL_CODES = [UNAUTHENTICATED, PERMISSION_DENIED, INVALID_ARGUMENT, UNIMPLEMENTED];
const files = ['account', 'graph', 'job', 'post', 'timeline'].map((name) => `rookery/v1/${name}.proto`);
// 64-bit numbers as text: JavaScript's own are exact to 53 bits only.
const definition = loader.loadSync(files, {
  includeDirs: [path.join(__dirname, '../../proto')], longs: String, enums: String, defaults: true, oneofs: true,
});
const v1 = grpc.loadPackageDefinition(definition).rookery.v1;
const services = {};
for (const name of ['AccountService', 'GraphService', 'JobService', 'PostService', 'TimelineService'])
  services[name] = new v1[name](ADDRESS, grpc.credentials.createInsecure());

function credentials(token) {
  const metadata = new grpc.Metadata();
  if (token) metadata.set('authorization', `Bearer ${token}`);
  return metadata;
}

function call(name, request, token) {
  const [service, method] = name.split('/');
  const options = { deadline: Date.now() + PATIENCE_MS };
  return new Promise((resolve, reject) => {
    services[service][method](request, credentials(token), options, (error, reply) => (error ? reject(error) : resolve(reply)));
  });
}

function stream(name, request, token) {
  const [service, method] = name.split('/');
  return services[service][method](request, credentials(token));
}

const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));

// What is new on a home timeline, through as many streams as it takes: each goes on where the one before ended. A reset
// has the whole timeline, which was read before the next message is taken.
class Live {
  constructor(token) {
    Object.assign(this, { token, resumeToken: '', waiting: [], news: [], closed: false, failure: null });
    this.listen().catch((error) => {
      this.failure = error;
      this.waiting.splice(0).forEach((wake) => wake());
    });
  }

  async listen() {
    let wait = 100;
    while (!this.closed) {
      this.stream = stream('TimelineService/StreamHomeTimeline', { resumeToken: this.resumeToken }, this.token);
      try {
        for await (const message of this.stream) {
          if (message.event === 'reset') message.home = await all(pages(this.token, 100));
          // Only now: when the timeline could not be read, the next stream sends the reset again.
          this.resumeToken = message.resumeToken;
          wait = 100;
          this.news.push(message);
          this.waiting.splice(0).forEach((wake) => wake());
        }
      } catch (error) {
        if (FINAL_CODES.includes(error.code)) throw error;
      }
      // The server may be restarting: again, after a pause that grows.
      if (!this.closed) await pause(wait);
      wait = Math.min(2 * wait, 10000);
    }
  }

  async next(event) {
    for (;;) {
      if (this.failure) throw this.failure;
      const message = this.news.shift();
      if (!message) await new Promise((wake) => this.waiting.push(wake));
      else if (message.event === event) return message;
    }
  }

  cut() { this.stream.cancel(); }

  close() {
    this.closed = true;
    this.stream.cancel();
  }
}

// All items of a home timeline, newest first.
async function* pages(token, pageSize) {
  let pageToken = '';
  do {
    const page = await call('TimelineService/GetHomeTimeline', { pageSize, pageToken }, token);
    yield* page.items;
    pageToken = page.nextPageToken;
  } while (pageToken);
}

async function all(items) {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

function upload(token, name, content) {
  return new Promise((resolve, reject) => {
    const out = services.JobService.UploadDataset(credentials(token), (error, reply) => (error ? reject(error) : resolve(reply.dataset)));
    const sha256 = crypto.createHash('sha256').update(content).digest();
    out.write({ header: { name, sizeBytes: content.length, sha256, idempotencyKey: crypto.randomUUID() } });
    for (let at = 0; at < content.length; at += 65536) out.write({ chunk: { offset: at, data: content.subarray(at, at + 65536) } });
    out.end();
  });
}

async function fitPenguins(token) {
  const { id: datasetId } = await upload(token, 'penguins', fs.readFileSync(path.join(__dirname, '../penguins.csv')));
  for (;;) {
    const { dataset } = await call('JobService/DescribeDataset', { datasetId }, token);
    if (dataset.state === 'DATASET_STATE_FAILED') throw new Error(dataset.error);
    if (dataset.state === 'DATASET_STATE_READY') break;
    await pause(100);
  }
  const regression = { sliceBy: ['species'], y: 'flipper_length_mm', x: ['bill_length_mm'] };
  let { job } = await call('JobService/CreateJob', { datasetId, spec: { linear: { regression } } }, token);
  for await (const change of stream('JobService/WatchJob', { jobId: job.id }, token)) {
    job = change.job;
    console.log(`job: ${job.tasksDone} of ${job.taskCount} tasks done`);
  }
  if (job.error) throw new Error(`the job failed: ${job.error}`);
  for await (const part of stream('JobService/GetResult', { jobId: job.id }, token)) process.stdout.write(part.data);
}

async function main() {
  const register = (name) => call('AccountService/Register', {
    handle: `${name}_${crypto.randomBytes(4).toString('hex')}`, password: crypto.randomBytes(9).toString('base64'),
  });
  const [ada, grace, hedy] = [await register('ada'), await register('grace'), await register('hedy')];
  await call('PostService/CreatePost', { text: 'An older post' }, hedy.token);
  await call('GraphService/Follow', { accountId: ada.account.id }, grace.token);
  console.log(`@${grace.account.handle} follows @${ada.account.handle}`);

  const live = new Live(grace.token);
  await live.next('heartbeat'); // from here on nothing is missed
  await call('PostService/CreatePost', { text: 'Hello from Node' }, ada.token);
  console.log('live:', (await live.next('item')).item.post.text);
  live.cut();
  for (let i = 1; i <= 4; i++) await call('PostService/CreatePost', { text: `while away ${i}` }, ada.token);
  for (let i = 1; i <= 4; i++) console.log('resumed:', (await live.next('item')).item.post.text);
  await call('GraphService/Follow', { accountId: hedy.account.id }, grace.token);
  for (const item of (await live.next('reset')).home) console.log('again:', item.post.text);
  live.close();

  for await (const item of pages(grace.token, 2)) console.log('home:', item.post.text);
  await fitPenguins(grace.token);
}

main().then(() => process.exit(0), (error) => {
  console.error(error.message);
  process.exit(1);
});
