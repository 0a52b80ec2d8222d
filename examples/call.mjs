// The three questions with nothing but Node. FUNCTION_KEY and MASTER_KEY are what `cargo run` prints.
const base = process.env.BASE_URL ?? "http://127.0.0.1:7071";

async function call(path, key) {
  const answer = await fetch(`${base}/api/${path}`, {
    headers: { "x-functions-key": key, accept: "application/json" },
    signal: AbortSignal.timeout(40_000),
  });
  if (answer.ok) return answer.json();
  const body = await answer.text();
  // Every refusal but 401 says what to do next.
  throw new Error(`${answer.status}: ${body ? JSON.parse(body).fix : "wrong key"}`);
}

const check = await call("config-check", process.env.FUNCTION_KEY);
for (const { setting, status, fix = "" } of check.references) console.log(setting, status, fix);

const secret = await call("secrets/ExternalApiKey", process.env.MASTER_KEY);
console.log(secret.name, "expires", secret.expires_on ?? "never");

for (const item of (await call("expiring?within=8w", process.env.MASTER_KEY)).items) {
  console.log(item.name, "in", item.days_left, "days, used by", item.used_by.join(", ") || "nobody here");
}
