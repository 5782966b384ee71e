#!/usr/bin/env python3
"""Generates crates/territory/data/*.tsv from pinned packages and corrections.csv.

    generate.py                 write the files
    generate.py --check         say whether the committed files are what would be written
    --wheels DIR                keep the downloaded wheels in DIR
"""

import argparse
import csv
import re
import sys
import tempfile
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path

import sources

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "crates/territory/data"
KINDS = {"Xã": "X", "Phường": "P", "Thị trấn": "T", "Đặc khu": "D", "Tỉnh": "T", "Thành phố": "C"}
# Relative load of one old unit by its kind; README.md says how good a stand-in this is.
LOAD = {"X": 2, "T": 3, "P": 5}


def split_kind(full_name):
    """`Thị Trấn Ái Tử` -> (`T`, `Ái Tử`)."""
    text = unicodedata.normalize("NFC", full_name).replace("’", "'").strip()
    for word, letter in KINDS.items():
        if text.lower().startswith(word.lower() + " "):
            return letter, " ".join(text[len(word) :].split())
    raise ValueError(f"no kind in {full_name!r}")


def key(full_name):
    """Letters and digits only, no diacritics: the way aliases are written."""
    text = unicodedata.normalize("NFD", full_name.lower().replace("đ", "d"))
    return re.sub(r"[^a-z0-9]", "", text)


def corrections():
    """{kind: [row]} of corrections.csv."""
    rows = defaultdict(list)
    with open(HERE / "corrections.csv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            rows[row["kind"]].append(row)
    return rows


class Registry:
    """Everything read, put in order."""

    def __init__(self, wheels):
        self.fixes = corrections()
        official, self.names_january = sources.official_pairs(wheels)
        rows, new, self.other_pairs, self.default = sources.admin_units(wheels)
        self.provinces_today, self.units_today = sources.today(wheels)
        self.codes_2021 = sources.in_force_2021(wheels)
        self.old = {r[0]: r for r in rows if r[0]}
        self.islands = {r[3]: (r[4], self.island_zone(r[3])) for r in rows if not r[0]}
        self.new = {r[0]: r for r in new}
        wrong = {(f["code"], f["other"]): f["value"] for f in self.fixes["erratum"]}
        self.pairs = {(wrong.get(p, p[0]), p[1]) for p in official}
        self.check()

    def island_zone(self, district):
        return next(n for o, n in self.other_pairs if o == district)

    def check(self):
        """What every later step relies on."""
        assert {o for o, _ in self.pairs} == set(self.old), "every old unit has a successor"
        served = {n for _, n in self.pairs} | {n for _, n in self.islands.values()}
        assert served == set(self.new) == set(self.units_today), "every new unit has a predecessor"

    def provinces(self):
        base = {r[2]: r[3] for r in self.new.values()}
        for code in sorted(base):
            kind, name = split_kind(base[code])
            yield code, kind, name

    def units(self):
        load = self.loads()
        for code, row in sorted(self.new.items()):
            _, name = split_kind(self.units_today[code]["name_with_type"])
            yield code, row[2], split_kind(row[1])[0], load[code], name

    def loads(self):
        """Stand-in for population: the old units inside, weighted by kind; a split in equal parts."""
        targets = Counter(o for o, _ in self.pairs)
        load = Counter()
        for old, new in self.pairs:
            load[new] += 10 * LOAD[split_kind(self.old[old][1])[0]] / targets[old]
        for _, new in self.islands.values():
            load[new] += 10 * LOAD["X"]
        return {code: round(load[code]) for code in self.new}

    def changes(self):
        """Kinds that changed after 1 July 2025: level, code, kind, day in force, instrument."""
        in_force = {f["code"]: f["value"] for f in self.fixes["in_force"]}
        for code, kind, _ in self.provinces():
            today = self.provinces_today[code]
            now = split_kind(today["name_with_type"])[0]
            if now != kind:
                instrument = today["note"].split(" - ")[0]
                yield "province", code, now, in_force[instrument], instrument
        for code, _, kind, _, _ in self.units():
            today = self.units_today[code]
            now = split_kind(today["name_with_type"])[0]
            if now != kind:
                instrument = re.findall(r"Số: ([^;]+);", today["note"])[-1]
                yield "unit", code, now, in_force[instrument], instrument

    def old_units(self):
        """The official spelling, save where the district changed after that list was made."""
        january = defaultdict(set)
        for code, (_, district) in self.names_january.items():
            january[district].add(code)
        june = defaultdict(set)
        for code, row in self.old.items():
            june[row[3]].add(code)
        for code, row in sorted(self.old.items()):
            kind, name = split_kind(row[1])
            if code in self.names_january and january[row[3]] == june[row[3]]:
                official_kind, official = split_kind(self.names_january[code][0])
                name = official if official_kind == kind else name
            yield code, row[2], kind, name

    def succession(self):
        """Old code, successors with the main one first, confidence in that choice."""
        successors = defaultdict(set)
        for old, new in self.pairs:
            successors[old].add(new)
        chosen = {f["code"]: (f["value"], f["other"]) for f in self.fixes["primary"]}
        assert set(chosen) <= {o for o, n in successors.items() if len(n) > 1}
        for old, news in sorted(successors.items()):
            if len(news) == 1:
                main, confidence = next(iter(news)), "certain"
            else:
                main, confidence = chosen.get(old, (self.default[old], "high"))
            assert main in news, f"{main} is no successor of {old}"
            rest = sorted(news - {main})
            yield old, " ".join([main, *rest]), confidence[0].upper()

    def areas(self):
        """What had no commune code before: island districts, and land outside any commune."""
        for district, (name, new) in sorted(self.islands.items()):
            yield "district", district, new, name
        for fix in self.fixes["area"]:
            yield "area", "-", fix["value"], fix["other"]

    def dissolved(self):
        """Codes gone before 1 July 2025, the day they were gone by, the old unit they went into."""
        main = {old: news.split()[0] for old, news, _ in self.succession()}
        places = defaultdict(set)
        for code, row in self.old.items():
            places["renumbered", row[3], key(row[1])].add(code)
            for alias in re.findall(r'"([a-z0-9]+)"', row[5] or ""):
                places["district", row[3], alias].add(code)
                places["province", row[6].split("_")[0], alias].add(code)
        districts = {row[3] for row in self.old.values()}
        names = self.codes_2021 | self.names_january
        for code, (name, district, *province) in sorted(names.items()):
            if code in self.old:
                continue
            place = ("district", district)
            if district not in districts:
                place = ("province", *map(key, province))
            found = (
                places[*place, key(name)]
                or places[*place, key(split_kind(name)[1])]
                or places["renumbered", district, key(name)]
            )
            into = min(found) if len({main[c] for c in found}) == 1 else "-"
            yield code, "2025-06-30" if code in self.names_january else "2025-01-04", into, name


FILES = {
    "provinces.tsv": ("provinces", "code, kind on 1 July 2025 (T province, C city), name"),
    "units.tsv": (
        "units",
        "code, province, kind on 1 July 2025 (X commune, P ward, D special zone), load, name",
    ),
    "changes.tsv": ("changes", "level, code, new kind, day in force, instrument"),
    "old_units.tsv": (
        "old_units",
        "code, province of 2025-06-30, kind (X commune, P ward, T township), name",
    ),
    "succession.tsv": (
        "succession",
        "old code, successors (main first), confidence (Certain, High, Medium, Low)",
    ),
    "areas.tsv": ("areas", "level, district code, successor, name"),
    "dissolved.tsv": ("dissolved", "code, gone by, old unit it went into, name"),
}


def render(registry, what, columns):
    lines = ["# Generated by scripts/territory/generate.py; do not edit."]
    lines += [f"# {n} {v} ({licence}): {taken}." for n, v, licence, taken in sources.PACKAGES]
    lines += [f"# {columns}"]
    lines += ["\t".join(map(str, row)) for row in getattr(registry, what)()]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--wheels", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        wheels = options.wheels or Path(scratch)
        sources.download(wheels)
        registry = Registry(wheels)
    stale = []
    for name, (what, columns) in FILES.items():
        text, path = render(registry, what, columns), DATA / name
        if options.check:
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                stale.append(name)
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        sys.exit(f"not what would be generated: {', '.join(stale)}")


if __name__ == "__main__":
    main()
