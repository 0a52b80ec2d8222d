// `npm run picture`: what `cargo run` shows in a browser, for the README.
import { join } from "node:path";
import { repository, startBrowser, startHandler } from "./support.js";

const handler = await startHandler(repository);
const browser = await startBrowser();
const page = await browser.newPage({ viewport: { width: 860, height: 500 } });
await page.goto(handler.address);
await page.screenshot({ path: join(repository, "docs/config-check.png"), fullPage: true });
await page.goto(handler.expiring);
await page.screenshot({ path: join(repository, "docs/expiring.png"), fullPage: true });
await browser.close();
handler.stop();
