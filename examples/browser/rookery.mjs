// A client of Rookery for browsers, with fetch alone: the Connect protocol with JSON. It runs in Node 18 as well.
//
//     const rookery = new Rookery('http://127.0.0.1:8080');
//     const { account, token } = await rookery.call('AccountService/Register', { handle, password });
//     for await (const message of rookery.live(token)) ...
//
// A unary call is one POST of JSON. Streams are messages with five bytes before each: a byte of flags, and the length. The
// last message of a stream has the flag 2, and says whether the call has failed.

const TIMELINE = 'TimelineService/StreamHomeTimeline';
// No pause helps with these.
const FINAL_CODES = ['unauthenticated', 'permission_denied', 'invalid_argument', 'unimplemented'];

export class RookeryError extends Error {
  constructor({ code = 'unknown', message = '' } = {}) {
    super(message || code);
    this.code = code;
  }
}

function envelope(message) {
  const json = new TextEncoder().encode(JSON.stringify(message));
  const bytes = new Uint8Array(5 + json.length);
  new DataView(bytes.buffer).setUint32(1, json.length);
  bytes.set(json, 5);
  return bytes;
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

// The messages of a stream's body, as they come.
async function* messages(body) {
  const reader = body.getReader();
  let bytes = new Uint8Array(0);
  try {
    for (;;) {
      const length = bytes.length < 5 ? Infinity : new DataView(bytes.buffer).getUint32(1);
      if (bytes.length >= 5 + length) {
        const message = JSON.parse(new TextDecoder().decode(bytes.subarray(5, 5 + length)));
        if (bytes[0] & 2) {
          if (message.error) throw new RookeryError(message.error);
          return;
        }
        yield message;
        bytes = bytes.slice(5 + length);
        continue;
      }
      const { value, done } = await reader.read();
      if (done) throw new RookeryError({ code: 'unavailable', message: 'the stream ended in the middle' });
      bytes = joined([bytes, value]);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

const pause = (ms) => new Promise((wake) => setTimeout(wake, ms));

async function all(items) {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

export class Rookery {
  constructor(url) {
    this.url = url;
  }

  post(method, type, token, body, signal) {
    const headers = { 'content-type': type, ...(token && { authorization: `Bearer ${token}` }) };
    return fetch(`${this.url}/rookery.v1.${method}`, { method: 'POST', headers, body, signal });
  }

  async call(method, message, token) {
    const answer = await this.post(method, 'application/json', token, JSON.stringify(message));
    const reply = await answer.json();
    if (!answer.ok) throw new RookeryError(reply);
    return reply;
  }

  // One message or several in, messages out.
  async* stream(method, input, token, signal) {
    const body = joined([].concat(input).map(envelope));
    const answer = await this.post(method, 'application/connect+json', token, body, signal);
    if (!answer.ok) throw new RookeryError(await answer.json().catch(() => ({ code: 'unavailable' })));
    yield* messages(answer.body);
  }

  // What is new on the home timeline, through as many streams as it takes: each goes on where the one before ended. A
  // message with "reset" has the whole timeline, in "home", which was read before the next message is taken. Ends when the
  // signal is aborted; onStream is told of each stream's AbortController.
  async* live(token, { signal, onStream } = {}) {
    let resumeToken = '';
    for (let wait = 100; !signal?.aborted; wait = Math.min(2 * wait, 10000)) {
      const one = new AbortController();
      const stop = () => one.abort();
      signal?.addEventListener('abort', stop);
      onStream?.(one);
      try {
        for await (const message of this.stream(TIMELINE, { resumeToken }, token, one.signal)) {
          if (message.reset) message.home = await all(this.home(token, 100));
          // Only now: when the timeline could not be read, the next stream sends the reset again.
          resumeToken = message.resumeToken;
          wait = 100;
          yield message;
        }
      } catch (error) {
        if (FINAL_CODES.includes(error.code)) throw error;
      } finally {
        signal?.removeEventListener('abort', stop);
      }
      // The server may be restarting: again, after a pause that grows.
      if (!signal?.aborted) await pause(wait);
    }
  }

  // All items of the home timeline, newest first.
  async* home(token, pageSize = 20) {
    let pageToken = '';
    do {
      const page = await this.call('TimelineService/GetHomeTimeline', { pageSize, pageToken }, token);
      yield* page.items ?? [];
      pageToken = page.nextPageToken;
    } while (pageToken);
  }

  // Bytes become a dataset, once it is ready for jobs. crypto.subtle needs https, or localhost.
  async upload(name, bytes, token) {
    const base64 = (part) => btoa(String.fromCharCode(...part));
    const sha256 = base64(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)));
    const parts = [{ header: { name, sizeBytes: String(bytes.length), sha256, idempotencyKey: crypto.randomUUID() } }];
    for (let at = 0; at < bytes.length; at += 30000)
      parts.push({ chunk: { offset: String(at), data: base64(bytes.subarray(at, at + 30000)) } });
    for await (const { dataset } of this.stream('JobService/UploadDataset', parts, token))
      for (;; await pause(100)) {
        const now = (await this.call('JobService/DescribeDataset', { datasetId: dataset.id }, token)).dataset;
        if (now.state === 'DATASET_STATE_FAILED') throw new RookeryError({ message: now.error });
        if (now.state === 'DATASET_STATE_READY') return now;
      }
  }

  // The rows of a job's table, the first with the names of the columns. onChange is told how far it is.
  async fit(datasetId, spec, token, onChange = () => {}) {
    let { job } = await this.call('JobService/CreateJob', { datasetId, spec }, token);
    for await (const change of this.stream('JobService/WatchJob', { jobId: job.id }, token)) onChange(job = change.job);
    if (job.state !== 'JOB_STATE_SUCCEEDED') throw new RookeryError({ message: job.error ?? job.state });
    const rows = [];
    for await (const part of this.stream('JobService/GetResult', { jobId: job.id, asRows: true }, token))
      rows.push(...(part.rows ?? []).map((row) => row.cells));
    return rows;
  }
}

// What index.html shows, and Node prints. csv: the bytes of examples/penguins.csv.
export async function story(url, csv, say) {
  const rookery = new Rookery(url);
  const random = () => crypto.randomUUID().replaceAll('-', '').slice(0, 12);
  const register = (name) => rookery.call('AccountService/Register', { handle: `${name}_${random()}`, password: crypto.randomUUID() });
  const [ada, grace, hedy] = [await register('ada'), await register('grace'), await register('hedy')];
  const write = (text) => rookery.call('PostService/CreatePost', { text }, ada.token);
  const follow = (whom) => rookery.call('GraphService/Follow', { accountId: whom.account.id }, grace.token);
  await rookery.call('PostService/CreatePost', { text: 'An older post' }, hedy.token);
  await follow(ada);
  say(`@${grace.account.handle} follows @${ada.account.handle}`);

  // The first message says that the stream is live. After the first post it is cut, and misses nothing. After the fifth
  // another person is followed: the timeline is another now.
  const end = new AbortController();
  let stream, items = 0;
  for await (const message of rookery.live(grace.token, { signal: end.signal, onStream: (one) => { stream = one; } })) {
    if (message.heartbeat && items === 0) await write('Hello from a browser');
    if (message.reset && items === 5) {
      for (const item of message.home) say(`again: ${item.post.text}`);
      end.abort();
    }
    if (!message.item) continue;
    say(`${items++ ? 'resumed' : 'live'}: ${message.item.post.text}`);
    if (items === 5) await follow(hedy);
    if (items !== 1) continue;
    stream.abort();
    for (let i = 1; i <= 4; i++) await write(`while away ${i}`);
  }

  for await (const item of rookery.home(grace.token, 2)) say(`home: ${item.post.text}`);

  const dataset = await rookery.upload('penguins', csv, grace.token);
  const regression = { sliceBy: ['species'], y: 'flipper_length_mm', x: ['bill_length_mm'] };
  const rows = await rookery.fit(dataset.id, { linear: { regression } }, grace.token,
    (job) => say(`job: ${job.tasksDone ?? 0} of ${job.taskCount ?? 0} tasks done`));
  for (const row of rows) say(row.join(','));
}
