"""Evaluates every expression of the dashboard, and looks at every rule, in a running Prometheus.

Usage: evaluate-dashboard.py PROMETHEUS_URL DASHBOARD_JSON
Exit status: 0, 1 when something that must have data has none (which time may cure), 2 when something is in error.
"""

import json
import sys
import urllib.error
import urllib.parse
import urllib.request

# Only odd upstreams and models without a price cause these, and only a gateway that serves TLS has a certificate.
MAY_BE_EMPTY = [
    "unpriced_requests_total",
    "translation_losses_total",
    "mended_streams_total",
    "unknown_requests_total",
    "certificate_expiry_timestamp_seconds",
]

VARIABLES = {"$__rate_interval": "30s", "$__range": "5m", "$route": ".*", "$upstream": ".*", "$model": ".*"}


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def expressions(dashboard):
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            yield panel["title"], text


def main(base, path):
    problems, empty, count = [], [], 0
    with open(path, encoding="utf-8") as file:
        dashboard = json.load(file)
    for title, expression in expressions(dashboard):
        count += 1
        answer = get(f"{base}/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        if answer["status"] != "success":
            problems.append(f"panel `{title}`: {answer.get('error')}")
            continue
        values = [float(sample["value"][1]) for sample in answer["data"]["result"]]
        if any(name in expression for name in MAY_BE_EMPTY):
            continue
        if not values or any(value != value for value in values):
            empty.append(f"panel `{title}`: {expression} = {values}")
    rules = 0
    for group in get(f"{base}/api/v1/rules")["data"]["groups"]:
        for rule in group["rules"]:
            rules += 1
            if rule["health"] == "unknown":
                empty.append(f"rule `{rule['name']}` was not evaluated yet")
            elif rule["health"] != "ok":
                problems.append(f"rule `{rule['name']}`: {rule.get('lastError')}")
            elif rule["type"] == "recording":
                answer = get(f"{base}/api/v1/query?" + urllib.parse.urlencode({"query": rule["name"]}))
                if not answer["data"]["result"]:
                    empty.append(f"recording rule `{rule['name']}` has no value")
    # Both monies, apart: the sum of one is no part of the other.
    answer = get(f"{base}/api/v1/query?" + urllib.parse.urlencode({"query": "count by (billing) (codex_gateway_cost_usd_total > 0)"}))
    billings = sorted(sample["metric"]["billing"] for sample in answer["data"]["result"])
    if billings != ["metered", "plan"]:
        empty.append(f"money of both kinds was expected, and is {billings}")
    for text in problems + empty:
        print(text, file=sys.stderr)
    if problems:
        sys.exit(2)
    if empty or not rules:
        sys.exit(1)
    print(f"{count} expressions of the dashboard and {rules} rules evaluated, none in error, none empty that must not be")


main(*sys.argv[1:])
