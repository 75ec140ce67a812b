#!/usr/bin/env node
// The browser's client without a browser: node examples/browser/node.mjs [ADDR:PORT]
import { readFile } from 'node:fs/promises';
import { webcrypto } from 'node:crypto';
import { story } from './rookery.mjs';

globalThis.crypto ??= webcrypto; // Node 18
const csv = new Uint8Array(await readFile(new URL('../penguins.csv', import.meta.url)));
await story(`http://${process.argv[2] ?? '127.0.0.1:8080'}`, csv, console.log);
