#!/usr/bin/env python3
"""Counts the late cases of a recorded log, independently of `lienthong replay`.

Usage: count_late.py LOG.csv   (columns as in deploy/replay/receipt_wabo.toml; standard library only)

late       the case has an end, and it is after the limit
in_time    the case has an end by then, or none and the limit had not passed when the log ended
open_past  the case has no end, and the limit had passed when the log ended
without    the case has no such limit

The log ends with its latest time, activity or case end. Prints the JSON keys that `lienthong replay -o json`
prints, so that `diff` can compare them.
"""

import csv
import json
import sys
from datetime import datetime


def time(text):
    return datetime.fromisoformat(text) if text else None


def main(path):
    cases, times = {}, []
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        end = time(row["case_enddate"])
        cases[row["case_id"]] = (end, time(row["case_deadline"]), time(row["case_enddate_planned"]))
        times.append(time(row["timestamp"]))
        times.extend([end] if end else [])
    log_ends_at = max(times)

    def against(which):
        counts = dict.fromkeys(["late", "in_time", "open_past", "without"], 0)
        for case in cases.values():
            end, limit = case[0], case[which]
            if limit is None:
                counts["without"] += 1
            elif end is not None:
                counts["late" if end > limit else "in_time"] += 1
            else:
                counts["open_past" if log_ends_at > limit else "in_time"] += 1
        return counts

    ended = sum(end is not None for end, _, _ in cases.values())
    result = {
        "rows": len(rows),
        "cases": len(cases),
        "ended": ended,
        "open": len(cases) - ended,
        "deadline": against(1),
        "planned": against(2),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
