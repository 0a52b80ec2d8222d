// Opens config-check in a real Chromium: both themes, phone width, hostile names.
//
// Needs HANDLER (a handler built with the dev vault) and CHROMIUM (a browser); .ci/run sets
// both. With SCREENSHOTS=<folder>, what was seen is kept there.
import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { repository, startBrowser, startHandler } from "./support.js";

const hostile = "<img src=x onerror=\"window.hacked=1\">&amp;'\"";
const long = "Connection__Settings__Of__The__Payment__Service__For__Customers__In__Other__Countries__ApiKey";
const reference = (secret) => `@Microsoft.KeyVault(VaultName=embedded;SecretName=${secret})`;

let handler, browser;
const roots = [];

// Starts a handler on an app root with just these settings.
async function start(settings) {
  const root = mkdtempSync(join(tmpdir(), "keyvault-functions-page-"));
  roots.push(root);
  const functions = readdirSync(repository).filter((name) => existsSync(join(repository, name, "function.json")));
  for (const part of ["host.json", ...functions]) {
    cpSync(join(repository, part), join(root, part), { recursive: true });
  }
  writeFileSync(join(root, "local.settings.json"), JSON.stringify({ Values: settings }));
  return startHandler(root);
}

before(async () => {
  handler = await start({
    KEY_VAULT_URL: "embedded",
    EXTERNAL_API_KEY: reference("ExternalApiKey"),
    PAYMENT_API_KEY: "@Microsoft.KeyVault(VaultName=elsewhere;SecretName=PaymentApiKey)",
    BROKEN: "@Microsoft.KeyVault(SecretUri=https://<script>alert(1)</script>)",
    PINNED: reference(`ExternalApiKey;SecretVersion=${"0".repeat(32)}`),
    [hostile]: reference("Missing"),
    [long]: reference("DatabasePassword"),
  });
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  handler?.stop();
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
  const response = await page.goto(handler[which]);
  assert.equal(response.status(), 200);
  await use(page);
  assert.deepEqual(complaints, [], "no broken policy, no script");
  const elsewhere = requests.filter((url) => url !== handler[which] && !url.endsWith("/favicon.ico"));
  assert.deepEqual(elsewhere, [], "nothing from elsewhere");
  const folder = process.env.SCREENSHOTS;
  const name = `${which}-${options.colorScheme}-${options.viewport.width}.png`;
  if (folder) await page.screenshot({ path: join(folder, name), fullPage: true });
  await context.close();
}

const sizes = [{ width: 1100, height: 800 }, { width: 360, height: 740 }];
const pages = {
  address: [
    "Key Vault references", "4 of 6 references not resolved", "EXTERNAL_API_KEY", "Resolved",
    "PAYMENT_API_KEY", "VaultNotFound", "elsewhere.vault.azure.net", "BROKEN", "InvalidSyntax", hostile,
    "SecretNotFound", "sk-a...", "expires in 5 days",
  ],
  expiring: [
    "What expires", "2 expire within 30 days; this app uses 1 of them; not everything is known",
    "elsewhere.vault.azure.net", "VaultNotFound", "secrets, keys, certificates", "DatabasePassword",
    `Used by ${long}`, "expires in 5 days", "WebCertificate", "expires in 20 days", "1 object never expires.",
  ],
};
for (const [which, expectedTexts] of Object.entries(pages)) {
  for (const colorScheme of ["light", "dark"]) {
    for (const viewport of sizes) {
      test(`${which}, ${colorScheme}, ${viewport.width} pixels wide`, () =>
        open({ colorScheme, viewport }, async (page) => {
          const text = await page.locator("main").innerText();
          for (const expected of expectedTexts) {
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
          for (const heading of await page.locator("h3").all()) {
            const sign = await heading.locator(".sign").boundingBox();
            const setting = await heading.locator(".setting").boundingBox();
            const name = await heading.innerText();
            assert.ok(Math.abs(sign.y - setting.y) < 6 && sign.x < setting.x, name);
          }

          // The theme is applied, and every text can be read on its background.
          const contrasts = await page.evaluate(measureContrasts);
          assert.ok(contrasts.length > 20);
          for (const { text, ratio } of contrasts) {
            assert.ok(ratio >= 4.5, `${ratio.toFixed(2)} for ${text}`);
          }
          const paper = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
          assert.equal(paper, colorScheme === "dark" ? "rgb(23, 23, 27)" : "rgb(255, 255, 255)");
        }, which));
    }
  }
}

test("the timeline has a dot for each place, filled if the app uses what is there", () =>
  open({ colorScheme: "light", viewport: sizes[0] }, async (page) => {
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
  open({ colorScheme: "light", viewport: sizes[0] }, async (page) => {
    const settings = await page.locator(".setting").allInnerTexts();
    const broken = ["PAYMENT_API_KEY", "BROKEN", "PINNED", hostile];
    // The secret behind the long one expires soon.
    assert.deepEqual(settings, [...broken, long, "EXTERNAL_API_KEY"]);
  }));

test("a screen reader hears the status in words", () =>
  open({ colorScheme: "light", viewport: sizes[0] }, async (page) => {
    const heard = await page.locator("main").ariaSnapshot();
    assert.match(heard, /heading "Key Vault references" \[level=1\]/);
    assert.match(heard, /heading "EXTERNAL_API_KEY Resolved" \[level=3\]/);
    assert.match(heard, /heading "PAYMENT_API_KEY VaultNotFound" \[level=3\]/);
    assert.equal(await page.locator("html").getAttribute("lang"), "en");
  }));

test("one click selects a command to copy", async () => {
  // Nothing signs in here, and the fix is a command.
  const other = await start({ KEY_VAULT_URL: "https://127.0.0.1:1", PAYMENT_API_KEY: reference("A") });
  try {
    const page = await browser.newPage();
    await page.goto(other.address);
    await page.locator("li pre").click();
    const selected = await page.evaluate(() => String(getSelection()));
    assert.equal(selected.trim(), "az login");
    await page.close();
  } finally {
    other.stop();
  }
});

// Runs in the page: the contrast of each text with what is behind it, as WCAG defines it.
function measureContrasts() {
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
