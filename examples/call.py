"""The three questions with nothing but Python. FUNCTION_KEY and MASTER_KEY are what `cargo run` prints."""
import json
import os
import sys
import urllib.error
import urllib.request

BASE = os.environ.get("BASE_URL", "http://127.0.0.1:7071")


def call(path: str, key: str) -> dict:
    request = urllib.request.Request(f"{BASE}/api/{path}", headers={"x-functions-key": key})
    try:
        with urllib.request.urlopen(request, timeout=40) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refusal:
        body = refusal.read()
        # Every refusal but 401 says what to do next.
        sys.exit(f"{refusal.code}: {json.loads(body)['fix'] if body else 'wrong key'}")


check = call("config-check", os.environ["FUNCTION_KEY"])
for reference in check["references"]:
    print(reference["setting"], reference["status"], reference.get("fix", ""))

secret = call("secrets/ExternalApiKey", os.environ["MASTER_KEY"])
print(secret["name"], "expires", secret["expires_on"] or "never")

for item in call("expiring?within=8w", os.environ["MASTER_KEY"])["items"]:
    print(item["name"], "in", item["days_left"], "days, used by", ", ".join(item["used_by"]) or "nobody here")
