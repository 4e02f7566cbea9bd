// What the page looks like: that it fits, that it can be read, that all has a name.

import assert from "node:assert/strict";
import path from "node:path";
import { ok } from "./browser.mjs";

/** Looks at the page in every size and both schemes, and keeps pictures under `name`. */
export async function looks(watched, name) {
  const { page, screenshots } = watched;
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    for (const [device, width, height] of [["desktop", 1280, 1100], ["tablet", 768, 1024], ["phone", 360, 800]]) {
      await page.setViewport({ width, height, deviceScaleFactor: device === "phone" ? 2 : 1 });
      await page.evaluate(() => scrollTo(0, 0));
      await watched.until("the pictures in view", () => [...document.images].every((one) => one.getBoundingClientRect().top > innerHeight || one.naturalWidth > 0));
      const wide = await page.evaluate(tooWide);
      assert.deepEqual(wide, [], `wider than ${width} px`);
      const pale = await page.evaluate(tooPale);
      assert.deepEqual(pale, [], `hard to read in ${scheme}`);
      await page.screenshot({ path: path.join(screenshots, `${name}-${device}-${scheme}.png`) });
    }
  }
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll(".request img, button, select, video, audio, nav, section, progress")]
      .filter((one) => !(one.alt || one.ariaLabel || one.getAttribute("aria-labelledby") || one.labels?.length || one.innerText) && one.checkVisibility())
      .map((one) => one.outerHTML),
  );
  assert.deepEqual(nameless, []);
  ok(`${name}: fits 1280, 768 and 360 px, and can be read in the light and in the dark`);
}

/** What sticks out to the right, or is cut off there. */
function tooWide() {
  const root = document.scrollingElement;
  const found = root.scrollWidth > innerWidth ? [`the page scrolls: ${root.scrollWidth}`] : [];
  for (const one of document.querySelectorAll("body *")) {
    if (!one.checkVisibility() || one.matches(".unseen, .skip, .accounts *")) continue;
    const { right, width } = one.getBoundingClientRect();
    if (width > 1 && right > innerWidth + 0.5) found.push(`${one.tagName}.${one.className} to ${right}`);
    if (one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX === "hidden") found.push(`${one.tagName}.${one.className} is cut off`);
  }
  // Where a column is too narrow, words break between any two letters.
  for (const one of document.querySelectorAll(".calls th, #call-list td:not(:nth-child(2)), .badge, dt")) {
    const text = document.createRange();
    text.selectNodeContents(one);
    if (new Set([...text.getClientRects()].map((line) => line.top)).size > 1) found.push(`"${one.innerText}" is broken`);
  }
  return found;
}

/** Text whose contrast to what is behind it is below 4.5. */
function tooPale() {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return context.getImageData(0, 0, 1, 1).data;
  };
  const light = ([r, g, b]) => {
    const [R, G, B] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * R + 0.7152 * G + 0.0722 * B;
  };
  const behind = (node) => {
    for (let one = node; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba("white");
  };
  const found = new Set();
  for (const one of document.querySelectorAll("body *")) {
    const words = [...one.childNodes].some((child) => child.nodeType === 3 && child.data.trim());
    if (!words || !one.checkVisibility() || one.matches(".unseen, .skip")) continue;
    const [a, b] = [light(rgba(getComputedStyle(one).color)), light(behind(one))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.add(`${one.tagName}.${one.className} ${contrast.toFixed(2)}`);
  }
  return [...found];
}
