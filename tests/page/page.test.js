// Opens each page in a real Chromium: both themes, phone width, hostile names, and axe.
//
// Needs HANDLER (a handler built with the dev vault) and CHROMIUM (a browser); .ci/run sets
// both. With SCREENSHOTS=<folder>, what was seen is kept there; with PICTURES=1, the README's pictures.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { measureContrasts, repository, startBrowser, startHandler, startUnderHost } from "./support.js";

const axe = readFileSync(new URL(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const hostile = "<img src=x onerror=\"window.hacked=1\">&amp;'\"";
const long = "Connection__Settings__Of__The__Payment__Service__For__Customers__In__Other__Countries__ApiKey";
const reference = (secret, vault = "embedded") => `@Microsoft.KeyVault(VaultName=${vault};SecretName=${secret})`;
// Nobody's: it must not be on a page that a function key opens.
const subscription = "5ca1ab1e-0000-4000-8000-00000000c0de";

let handler, underHost, browser, addresses;
const roots = [];

// An app root with just these settings.
function appRoot(settings) {
  const root = mkdtempSync(join(tmpdir(), "keyvault-functions-page-"));
  roots.push(root);
  const functions = readdirSync(repository).filter((name) => existsSync(join(repository, name, "function.json")));
  for (const part of ["host.json", ...functions]) {
    cpSync(join(repository, part), join(root, part), { recursive: true });
  }
  writeFileSync(join(root, "local.settings.json"), JSON.stringify({ Values: settings }));
  return root;
}

const start = (settings) => startHandler(appRoot(settings));

before(async () => {
  handler = await start({
    KEY_VAULT_URL: "embedded",
    EXTERNAL_API_KEY: reference("ExternalApiKey"),
    PAYMENT_API_KEY: reference("PaymentApiKey", "elsewhere"),
    BROKEN: "@Microsoft.KeyVault(SecretUri=https://<script>alert(1)</script>)",
    PINNED: reference(`ExternalApiKey;SecretVersion=${"0".repeat(32)}`),
    [hostile]: reference("Missing"),
    [long]: reference("DatabasePassword"),
  });
  // An app on Azure without an identity, which is known without asking anybody.
  underHost = await startUnderHost(appRoot({}), {
    KEY_VAULT_URL: "https://kv-orders.vault.azure.net",
    WEBSITE_SITE_NAME: "func-orders",
    WEBSITE_SLOT_NAME: "staging",
    WEBSITE_SKU: "FlexConsumption",
    WEBSITE_OWNER_NAME: `${subscription}+rg-orders-WestEuropewebspace`,
    SECRET_CACHE_CAPACITY: "many",
    EXTERNAL_API_KEY: reference("ExternalApiKey", "kv-orders"),
  });
  const door = new URL("/api/config-check", handler.origin).href;
  const adminDoor = new URL("/api/secrets/ExternalApiKey", handler.origin).href;
  addresses = { ...handler, ...underHost, door, adminDoor };
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  handler?.stop();
  underHost?.stop();
  for (const root of roots) rmSync(root, { recursive: true });
});

async function open(options, use, which = "address") {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints = [];
  const requests = [];
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  const status = which in pages ? pages[which].status : 200;
  const response = await page.goto(addresses[which]);
  assert.equal(response.status(), status);
  await use(page);
  // Chromium itself reports that it was refused.
  const own = complaints.filter((text) => !text.includes("status of 401"));
  assert.deepEqual(own, [], "no broken policy, no script");
  const elsewhere = requests.filter((url) => url !== addresses[which] && !url.endsWith("/favicon.ico"));
  assert.deepEqual(elsewhere, [], "nothing from elsewhere");
  const folder = process.env.SCREENSHOTS;
  const name = `${which}-${options.colorScheme}-${options.viewport.width}.png`;
  if (folder) await page.screenshot({ path: join(folder, name), fullPage: true });
  await context.close();
}

const sizes = [{ width: 1280, height: 800 }, { width: 390, height: 844 }];
const wide = { colorScheme: "light", viewport: sizes[0] };
const pages = {
  address: {
    status: 200,
    texts: [
      "4 of 6 references not resolved", "1 secret expires within 30 days", "This machine", "checked 20", "Check again",
      "EXTERNAL_API_KEY", "Resolved", "PAYMENT_API_KEY", "VaultNotFound", "elsewhere.vault.azure.net", "BROKEN",
      "InvalidSyntax", hostile, "SecretNotFound", "sk-a...", "expires in 5 days", "latest version",
      `pinned to version ${"0".repeat(32)}`, "embedded in this process", "No vault has this name.",
    ],
  },
  expiring: {
    status: 200,
    texts: [
      "What expires", "2 expire within 30 days", "This app uses 1 of them", "Not everything is known",
      "elsewhere.vault.azure.net", "VaultNotFound", "secrets, keys, certificates", "DatabasePassword",
      `Used by ${long}`, "expires in 5 days", "WebCertificate", "expires in 20 days", "1 object never expires.",
      "Check again", "latest version",
    ],
  },
  azure: {
    status: 200,
    texts: [
      "func-orders, slot staging", "1 setting cannot be used", "MSINotEnabled", "az functionapp identity assign",
      "kv-orders.vault.azure.net", "none: the app has no managed identity",
    ],
  },
  portal: {
    status: 200,
    texts: ["func-orders, slot staging", "In the Azure portal: your key vaults, the settings of func-orders, slot staging"],
  },
  door: {
    status: 401,
    texts: ["This page needs a key", "the function key or the master key", "$STANDALONE_FUNCTION_KEY", "/api/config-check?code="],
  },
  adminDoor: {
    status: 401,
    texts: ["This page needs a key", "It opens with the master key.", "$STANDALONE_MASTER_KEY"],
  },
};
// What holds on each page.
async function check(page, { texts, colorScheme }) {
  const text = await page.locator("body").innerText();
  for (const expected of texts) {
    assert.ok(text.includes(expected), `${expected} is not in:\n${text}`);
  }
  assert.ok(!text.includes("sk-abc"), text);

  // Hostile texts are texts.
  assert.equal(await page.locator("img, script").count(), 0);
  assert.equal(await page.evaluate(() => window.hacked), undefined);

  // Everything fits, so nobody scrolls sideways.
  const overflow = await page.evaluate(() => {
    const root = document.documentElement;
    return root.scrollWidth - root.clientWidth;
  });
  assert.equal(overflow, 0);

  // The sign stands before its setting, on the same line, however long the name is.
  for (const name of await page.locator(".name").all()) {
    const sign = await name.locator(".sign").boundingBox();
    const setting = await name.locator(".setting").boundingBox();
    const heard = await name.innerText();
    assert.ok(Math.abs(sign.y - setting.y) < 6 && sign.x < setting.x, heard);
  }

  // The theme is applied, and every text can be read on its background.
  const contrasts = await page.evaluate(measureContrasts);
  assert.ok(contrasts.length > 10);
  for (const { text, ratio } of contrasts) {
    assert.ok(ratio >= 4.5, `${ratio.toFixed(2)} for ${text}`);
  }
  const paper = await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  assert.equal(paper, colorScheme === "dark" ? "rgb(20, 20, 23)" : "rgb(247, 247, 249)");

  // What axe finds, its best practices included. A test may do what the page's policy forbids.
  await page.evaluate(axe);
  const { violations, incomplete } = await page.evaluate(() => window.axe.run());
  // It does not measure the contrast of single signs, which has been measured above.
  const unsure = incomplete.filter(({ id }) => id !== "color-contrast");
  const found = [...violations, ...unsure].map(({ id, nodes }) => [id, ...nodes.map((node) => node.html)]);
  assert.deepEqual(found, []);
}

for (const [which, { texts }] of Object.entries(pages)) {
  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of sizes) {
      test(`${which}, ${colorScheme}, ${viewport.width} pixels wide`, () =>
        open({ colorScheme, viewport }, (page) => check(page, { texts, colorScheme }), which));
    }
  }
}

// `npm run picture` keeps them.
test("the README's pictures are what cargo run shows", async () => {
  const demo = await startHandler(repository);
  const shown = {
    "config-check": [demo.address, ["1 of 3 references not resolved", "PAYMENT_API_KEY"]],
    expiring: [demo.expiring, ["2 expire within 30 days", "Used by DATABASE_PASSWORD"]],
  };
  try {
    for (const [name, [address, texts]] of Object.entries(shown)) {
      const colorScheme = "light";
      const page = await browser.newPage({ colorScheme, viewport: { width: 860, height: 500 } });
      await page.goto(address);
      await check(page, { texts, colorScheme });
      // Without the footer: it says what every page says.
      const { y } = await page.locator("footer").boundingBox();
      const clip = { x: 0, y: 0, width: 860, height: Math.floor(y) - 8 };
      const path = join(repository, `docs/${name}.png`);
      if (process.env.PICTURES) await page.screenshot({ path, fullPage: true, clip });
      await page.close();
    }
  } finally {
    demo.stop();
  }
});

test("the timeline has a dot for each place, filled if the app uses what is there", () =>
  open(wide, async (page) => {
    const line = await page.locator(".timeline").boundingBox();
    const share = async (dot) => {
      const box = await dot.boundingBox();
      return (box.x + box.width / 2 - line.x) / line.width;
    };
    // Five and twenty of thirty days.
    const used = await share(page.locator("circle.used"));
    const unused = await share(page.locator("circle.unused"));
    assert.ok(Math.abs(used - (0.1 + 0.87 * 5 / 30)) < 0.02, `${used}`);
    assert.ok(Math.abs(unused - (0.1 + 0.87 * 20 / 30)) < 0.02, `${unused}`);
    const heard = await page.locator("main").ariaSnapshot();
    assert.match(heard, /img "2 expire within 30 days; this app uses 1 of them/);
    assert.match(heard, /heading "DatabasePassword expires in 5 days" \[level=3\]/);
  }, "expiring"));

test("what is broken comes first, otherwise in the settings' order", () =>
  open(wide, async (page) => {
    const settings = await page.locator(".setting").allInnerTexts();
    const broken = ["PAYMENT_API_KEY", "BROKEN", "PINNED", hostile];
    // The secret behind the long one expires soon.
    assert.deepEqual(settings, [...broken, long, "EXTERNAL_API_KEY"]);
  }));

test("a phone shows the first command without scrolling", () =>
  open({ colorScheme: "light", viewport: sizes[1] }, async (page) => {
    const fix = await page.locator("li pre").first().boundingBox();
    assert.ok(fix.y + fix.height < sizes[1].height, `${fix.y}`);
  }, "azure"));

test("a screen reader hears the status in words", () =>
  open(wide, async (page) => {
    const heard = await page.locator("body").ariaSnapshot();
    assert.match(heard, /heading "4 of 6 references not resolved" \[level=1\]/);
    assert.match(heard, /heading "PAYMENT_API_KEY VaultNotFound" \[level=3\]/);
    assert.match(heard, /table "Resolved"/);
    assert.match(heard, /rowheader "EXTERNAL_API_KEY"/);
    for (const landmark of ["banner", "main", "contentinfo"]) assert.ok(heard.includes(`- ${landmark}`), heard);
    assert.equal(await page.locator("html").getAttribute("lang"), "en");
  }));

test("a narrow table is still a table to a screen reader", () =>
  open({ colorScheme: "light", viewport: sizes[1] }, async (page) => {
    const heard = await page.locator("main").ariaSnapshot();
    assert.match(heard, /table "Resolved"/);
    assert.match(heard, /rowheader "EXTERNAL_API_KEY"/);
    assert.match(heard, /columnheader "Expiry"/);
  }));

test("ids and links are for the page that needs the master key", async () => {
  const hrefs = async (page) => {
    const all = await page.locator("a").all();
    return Promise.all(all.map((link) => link.getAttribute("href")));
  };
  await open(wide, async (page) => {
    assert.deepEqual(await hrefs(page), [""]);
    assert.ok(!(await page.content()).includes(subscription));
  }, "azure");
  await open(wide, async (page) => {
    const [again, vaults, settings, ...more] = await hrefs(page);
    assert.equal(again, "");
    assert.equal(vaults, "https://portal.azure.com/#browse/Microsoft.KeyVault%2Fvaults");
    const path = `/subscriptions/${subscription}/resourceGroups/rg-orders/providers/Microsoft.Web/sites/func-orders/slots/staging`;
    assert.equal(settings, `https://portal.azure.com/#resource${path}/environmentVariablesAppSettings`);
    assert.deepEqual(more, []);
  }, "portal");
});

test("one click selects a command to copy, and a keyboard reaches it", () =>
  open(wide, async (page) => {
    const command = page.locator("li pre").first();
    await command.click();
    const selected = await page.evaluate(() => String(getSelection()));
    assert.equal(selected.trim(), await command.innerText());
    assert.match(selected, /^az functionapp config appsettings set /);
    await page.mouse.click(1, 1);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    const { name, outline } = await page.evaluate(() => {
      const focused = document.activeElement;
      return { name: focused.tagName, outline: getComputedStyle(focused).outlineStyle };
    });
    assert.deepEqual({ name, outline }, { name: "PRE", outline: "solid" });
  }, "azure"));

test("without a host, the front door leads to what says which key it takes", async () => {
  const page = await browser.newPage();
  const response = await page.goto(handler.origin);
  assert.equal(page.url(), addresses.door);
  assert.equal(response.status(), 401);
  const text = await page.locator("main").innerText();
  // The key that the terminal printed, behind the address on the page.
  const address = await page.locator("pre").innerText();
  assert.ok(!text.includes(new URL(handler.address).searchParams.get("code")), text);
  const opened = await page.goto(address + new URL(handler.address).searchParams.get("code"));
  assert.equal(opened.status(), 200);
  await page.getByRole("link", { name: "Check again" }).click();
  assert.equal(page.url(), handler.address);
  await page.close();
  const program = await fetch(handler.origin);
  assert.equal(program.status, 200);
  assert.equal((await fetch(addresses.door)).headers.get("content-type"), null);
});
