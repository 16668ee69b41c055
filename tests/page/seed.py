"""Gives a ledger a past: copies what was recorded today to each of the days before, sums included, each day a little
less. Usage: seed.py LEDGER.db DAYS"""

import sqlite3
import sys

DAY = 86_400_000_000

ledger, days = sys.argv[1], int(sys.argv[2])
store = sqlite3.connect(ledger, timeout=30)
columns = [row[1] for row in store.execute("PRAGMA table_info(entries)")]
rollup = [row[1] for row in store.execute("PRAGMA table_info(rollup)")]
entries = store.execute(f"SELECT {', '.join(columns)} FROM entries ORDER BY started_at").fetchall()
sums = store.execute(f"SELECT {', '.join(rollup)} FROM rollup").fetchall()
FIGURES = {
    "requests", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens",
    "cost_nanos", "unpriced", "estimated", "unknown",
}
for day in range(1, days + 1):
    # Whole copies, so that entries and sums stay equal to the last token.
    times = 1 if day % 7 in (5, 6) else 1 + (day * 5) % 3
    for copy in range(times):
        for row in entries:
            values = dict(zip(columns, row))
            values["id"] = f"{values['id'][:-6]}{day:03d}{copy:03d}"
            values["started_at"] -= day * DAY
            values["finished_at"] -= day * DAY
            if values["session_id"]:
                values["session_id"] += f"-{day}"
            marks = ", ".join("?" for _ in columns)
            store.execute(f"INSERT INTO entries ({', '.join(columns)}) VALUES ({marks})", list(values.values()))
    for row in sums:
        values = dict(zip(rollup, row))
        values["bucket"] -= day if values["level"] == 1 else 96 * day
        for name in FIGURES & values.keys():
            values[name] *= times
        marks = ", ".join("?" for _ in rollup)
        store.execute(f"INSERT INTO rollup ({', '.join(rollup)}) VALUES ({marks})", list(values.values()))
store.commit()
