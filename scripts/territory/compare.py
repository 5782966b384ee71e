#!/usr/bin/env python3
"""Compares crates/territory/data with reference tables in CSV and prints every difference.

    compare.py DIR      DIR holds provinces.csv, communes.csv, old_communes.csv, succession.csv and
                        history_dissolved.csv

README.md explains the differences by the headings printed here.
"""

import csv
import re
import sys
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

from generate import DATA, split_kind


def ours(name):
    lines = (DATA / name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def theirs(folder, name):
    with open(folder / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def loose(name):
    """Spelling that does not matter: case, tone placement, I/Y, marks between letters."""
    text = unicodedata.normalize("NFD", name.lower().replace("đ", "d"))
    return re.sub(r"[^a-z0-9]", "", text).replace("y", "i")


def report(heading, left, right):
    """Prints the keys on which two dicts differ; returns how many."""
    differing = [k for k in sorted(left.keys() | right.keys()) if left.get(k) != right.get(k)]
    print(f"{heading}: {len(differing)} of {len(right)} differ")
    for k in differing:
        print(f"  {k}: ours {left.get(k)}, reference {right.get(k)}")
    return len(differing)


def names(heading, left, right):
    spelling = {k for k in left if k in right and loose(left[k]) == loose(right[k])}
    report(f"{heading}, spelling", {k: left[k] for k in spelling}, {k: right[k] for k in spelling})
    other = (left.keys() | right.keys()) - spelling
    report(
        f"{heading}, name",
        {k: left[k] for k in other if k in left},
        {k: right[k] for k in other if k in right},
    )


def units(folder):
    provinces, communes = theirs(folder, "provinces.csv"), theirs(folder, "communes.csv")
    left = {c: (k, n) for c, k, n in ours("provinces.tsv")}
    report("provinces", left, {r["code"]: split_kind(r["full_name"]) for r in provinces})

    rows = ours("units.tsv")
    kinds = {c: k for c, _, k, _, _ in rows}
    report("units, kind", kinds, {r["code"]: split_kind(r["full_name"])[0] for r in communes})
    report("units, province", {r[0]: r[1] for r in rows}, {r["code"]: r["province_code"] for r in communes})
    names("units", {r[0]: r[4] for r in rows}, {r["code"]: split_kind(r["full_name"])[1] for r in communes})

    changes = ours("changes.tsv")
    kinds |= {code: kind for level, code, kind, _, _ in changes if level == "unit"}
    october = {r["code"]: split_kind(r["type_202610"] + " x")[0] for r in communes}
    report("units, kind in October 2026", kinds, october)
    kinds = {c: k for c, k, _ in ours("provinces.tsv")}
    kinds |= {code: kind for level, code, kind, _, _ in changes if level == "province"}
    october = {r["code"]: split_kind(r["type_202610"] + " x")[0] for r in provinces}
    report("provinces, kind in October 2026", kinds, october)


def old_units(folder):
    rows, reference = ours("old_units.tsv"), theirs(folder, "old_communes.csv")
    full = {r["code"]: split_kind(r["full_name"]) for r in reference}
    report("old units, kind", {r[0]: r[2] for r in rows}, {c: k for c, (k, _) in full.items()})
    report(
        "old units, province",
        {r[0]: r[1] for r in rows},
        {r["code"]: r["province_code"] for r in reference},
    )
    names("old units", {r[0]: r[3] for r in rows}, {c: n for c, (_, n) in full.items()})


def succession(folder):
    rows = ours("succession.tsv")
    areas = [(f"D{d}" if level == "district" else "", new) for level, d, new, _ in ours("areas.tsv")]
    left = {(old, new): 1 for old, news, _ in rows for new in news.split()} | dict.fromkeys(areas, 1)
    reference = theirs(folder, "succession.csv")
    right = {(r["old_code"], r["new_code"]): 1 for r in reference}
    report("pairs", left, right)
    main = [r for r in reference if r["is_primary"] == "1" and r["area_level"] == "commune"]
    report(
        "main successors",
        {old: news.split()[0] for old, news, _ in rows},
        {r["old_code"]: r["new_code"] for r in main},
    )
    report(
        "confidence",
        {old: confidence for old, _, confidence in rows},
        {r["old_code"]: r["primary_confidence"][0].upper() for r in main},
    )


def dissolved(folder):
    heir = {old: news.split()[0] for old, news, _ in ours("succession.tsv")}
    left = {code: (by, heir.get(into, "-")) for code, by, into, _ in ours("dissolved.tsv")}
    reference = theirs(folder, "history_dissolved.csv")
    right = {r["code"]: (r["gone_by"], r["successor_code_from_2025_07"] or "-") for r in reference}
    print(f"dissolved: {len(left)} ours, {len(right)} reference")
    missing = Counter(r["gone_by"][:4] for r in reference if r["code"] not in left)
    print(f"dissolved, only in the reference, by year: {dict(sorted(missing.items()))}")
    print(f"dissolved, only ours: {sorted(left.keys() - right.keys())}")
    both = left.keys() & right.keys()
    days = defaultdict(int)
    for code in both:
        days[right[code][0], left[code][0]] += right[code][0] > left[code][0]
    late = {k: v for k, v in days.items() if v}
    print(f"dissolved, day ours before the reference's: {late}")
    report("dissolved, successor today", {c: left[c][1] for c in both}, {c: right[c][1] for c in both})


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    units(folder)
    old_units(folder)
    succession(folder)
    dissolved(folder)


if __name__ == "__main__":
    main()
