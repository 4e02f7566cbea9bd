// Makes the pictures of docs/images from those that page.mjs took.
//
//     cargo xtask browser
//     node target/clients/browser/pictures.mjs target/browser docs/images
//
// They are brought to 256 colours: that is a third of the size, and hardly to be seen.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import UPNG from "upng-js";

const PICTURES = { "page-desktop-light.png": "page.png", "page-phone-light.png": "page-phone.png" };
const LARGEST = 200_000;

const [from, to] = process.argv.slice(2);
for (const [taken, kept] of Object.entries(PICTURES)) {
  const { width, height, ...picture } = UPNG.decode(await readFile(path.join(from, taken)));
  const frames = UPNG.toRGBA8({ width, height, ...picture });
  const small = Buffer.from(UPNG.encode(frames, width, height, 256));
  assert.ok(small.length < LARGEST, `${kept} has ${small.length} bytes`);
  await writeFile(path.join(to, kept), small);
  console.log(`${kept}: ${width}×${height}, ${small.length} bytes`);
}
