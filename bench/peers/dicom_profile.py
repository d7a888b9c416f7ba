#!/usr/bin/env python3
"""Holds two tables of core/dicom against those of others: what is done to attributes
of the source when a result is anonymised, and the coded terms of structures.

    GOUNET_DATA=FOLDER dicom_profile.py

Needs pydicom 3, dicom-anonymizer (whose edition 2026c of PS3.15 table E.1-1 is the
judge of actions) and go. A code that pydicom's copy of PS3.16 knows must be of the
same thing: the meanings share a word. Those that it does not know are listed.
"""
import csv
import importlib.util
import json
import pathlib
import re
import sys
import tempfile

from pydicom.datadict import keyword_for_tag
from pydicom.sr._concepts_dict import concepts

from dicom_seg import HERE, export

EDITION = "dicomfields_2026c"


def profile():
    """Attribute → the actions that the profile allows."""
    root = pathlib.Path(importlib.util.find_spec("dicomanonymizer").submodule_search_locations[0])
    spec = importlib.util.spec_from_file_location(EDITION, root / "dicom_anonymization_databases" / f"{EDITION}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    out = {}
    for category in (c for c in dir(module) if c.endswith("_TAGS") and c != "ALL_TAGS"):
        for t in getattr(module, category):
            out["%04x%04x" % tuple(t[:2])] = category.removesuffix("_TAGS").replace("_STAR", "").split("_")
    return out


def check_actions():
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        export(pathlib.Path(folder))
        actions = json.loads((pathlib.Path(folder) / "actions.json").read_text())
    allowed = profile()
    for t, action in sorted(actions.items()):
        want = allowed.get(t, ["K", "N"])  # kept, or said anew by the profile
        equal = action in want
        bad += not equal
        print("allowed" if equal else "NOT ALLOWED", t, keyword_for_tag(int(t, 16)), action, "of", "/".join(want))
    return bad


def stems(text):
    return {w[:4] for w in re.findall(r"[a-z0-9]+", text.lower())}


def check_codes():
    known = {}
    for terms in concepts["SCT"].values():
        for value, (meaning, _) in terms.items():
            known.setdefault(value, []).append(meaning)
    bad, unknown = 0, set()
    with open(HERE / "core/dicom/codes.csv") as f:
        rows = list(csv.reader(line for line in f if not line.startswith("#")))
    for row in rows:
        for value, meaning in ((row[2], row[3]), (row[4], row[5]), (row[6], row[7]), (row[8], row[9])):
            if not value:
                continue
            if value not in known:
                unknown.add(f"{value} {meaning}")
                continue
            if not stems(meaning) & set().union(*map(stems, known[value])):
                bad += 1
                print("DIFFERENT", row[0], value, meaning, "is", *known[value])
    print(len(rows), "structures; not in PS3.16 as pydicom has it:", *sorted(unknown), sep="\n  ")
    return bad


if __name__ == "__main__":
    sys.exit(int(check_actions() + check_codes() > 0))
