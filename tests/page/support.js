// Starts a handler and a browser, for the tests and for the picture in the README.
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";
import { chromium } from "playwright-core";

export const repository = resolve(import.meta.dirname, "../..");

/** Starts a standalone handler for the app root `cwd`; `address` opens config-check, `expiring` that. */
export async function startHandler(cwd) {
  const binary = process.env.HANDLER ?? join(repository, "target/debug/handler");
  const child = spawn(resolve(binary), ["--port", "0"], { cwd, env: {} });
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
  return { ...addresses, stop: () => child.kill() };
}

export function startBrowser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
}
