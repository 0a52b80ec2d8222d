// Starts handlers and a browser, for the tests and for the pictures in the README.
import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout } from "node:timers/promises";
import { chromium } from "playwright-core";

export const repository = resolve(import.meta.dirname, "../..");

/** Starts a standalone handler for the app root `cwd`; `address` opens config-check, `expiring` that. */
export async function startHandler(cwd) {
  const child = start(["--port", "0"], cwd, {});
  const addresses = await new Promise((found, failed) => {
    let output = "";
    const collect = (data) => {
      output += data;
      const line = output.match(/In a browser:\n\n {2}(\S+)\n/);
      // The master key is in the command for curl.
      const expiring = output.match(/x-functions-key: (\S+)" \\\n *"(\S+\/api\/expiring)\?/);
      if (line && expiring) found({ address: line[1], expiring: `${expiring[2]}?code=${expiring[1]}` });
    };
    child.stdout.on("data", collect);
    child.stderr.on("data", collect);
    child.on("error", failed);
    child.on("exit", (code) => failed(new Error(`the handler ended with ${code}: ${output}`)));
  });
  return { ...addresses, origin: new URL(addresses.address).origin, stop: () => child.kill() };
}

/** Starts a handler as the Functions host does on Azure, which has checked the keys. */
export async function startUnderHost(cwd, settings) {
  const port = await freePort();
  const child = start([], cwd, { ...settings, FUNCTIONS_CUSTOMHANDLER_PORT: String(port) });
  const origin = `http://127.0.0.1:${port}`;
  // What it writes is read, so that it never waits for a reader.
  for (const stream of [child.stdout, child.stderr]) stream.resume();
  while (!(await fetch(origin).catch(() => undefined))) {
    if (child.exitCode !== null) throw new Error(`the handler ended with ${child.exitCode}`);
    await setTimeout(50);
  }
  return { azure: `${origin}/api/config-check`, portal: `${origin}/api/expiring`, origin, stop: () => child.kill() };
}

function start(args, cwd, env) {
  const binary = process.env.HANDLER ?? join(repository, "target/debug/handler");
  return spawn(resolve(binary), args, { cwd, env });
}

function freePort() {
  return new Promise((found) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => found(port));
    });
  });
}

export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}

/** Runs in a page: the contrast of each text with what is behind it, as WCAG defines it. */
export function measureContrasts() {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((part) => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const measured = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    if (!text) continue;
    const element = walker.currentNode.parentElement;
    const one = luminance(parse(getComputedStyle(element).color));
    const two = luminance(behind(element));
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    measured.push({ text, ratio });
  }
  return measured;
}
