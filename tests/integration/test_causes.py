# SPDX-License-Identifier: Apache-2.0
"""holdfast causes: the list, one row in full, JSON, what is said of an id that nobody knows; and the pages that are made from it."""
import json
import re
import subprocess
from pathlib import Path

import pytest

from harness.gateway import command

ROOT = Path(__file__).resolve().parents[2]


def causes(*words):
    """[row] of --json"""
    done = command("causes", "--json", *words)
    assert done.stderr == "", done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_list_names_every_cause_once_under_its_layer_and_fits_120_columns():
    done = command("causes")
    assert done.returncode == 0 and done.stderr == ""
    lines = done.stdout.splitlines()
    rows = causes()
    assert len(rows) >= 152 and {row["id"] for row in rows} == {line.split()[0] for line in lines if line.startswith("  ")}
    assert [line for line in lines if not line.startswith("  ")] == "cdn balancer proxy server client network operation".split()
    assert max(map(len, lines)) <= 120 and "\033" not in done.stdout


def test_json_has_the_same_keys_in_every_row():
    rows = causes()
    for row in rows:
        assert row["v"] == 1 and row["type"] == "cause" and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]{12}Z", row["time"])
        assert {"id", "product", "title", "layer", "standing", "class", "resets", "how", "codes", "experiment", "fix", "fix_line",
                "source"} <= row.keys()
        assert row["standing"] == "hypothesis" or row["source"]
    by_id = {row["id"]: row for row in rows}
    daphne = by_id["daphne-ping-20-30"]
    assert (daphne["class"], daphne["default_min"], daphne["default_max"], daphne["unit"]) == ("pong_timeout", 49.5, 52, "s")
    assert daphne["how"] == ["rst"] and daphne["standing"] == "measured"
    assert by_id["cf-edge-restart"]["codes"] == [1001]


def test_one_cause_is_told_in_full():
    done = command("causes", "gcp-lb-30s-lifetime")
    assert done.returncode == 0
    assert done.stdout.startswith("gcp-lb-30s-lifetime: ")
    text = " ".join(done.stdout.split())
    for part in ("lifetime", "gcloud compute backend-services update NAME --global --timeout=3600", "busy: dies at 30 s", "envoyproxy/envoy#32525"):
        assert part in text, part
    assert max(map(len, done.stdout.splitlines())) <= 120


@pytest.mark.parametrize("words, check", [
    (["--layer", "network"], lambda row: row["layer"] == "network"),
    (["-c", "size_limit"], lambda row: row["class"] == "size_limit"),
    (["--search", "PROXY_READ_TIMEOUT"], lambda row: "proxy_read_timeout" in json.dumps(row)),
    (["-l", "cdn", "-c", "restart", "-s", "1001"], lambda row: row["layer"] == "cdn" and row["class"] == "restart"),
])
def test_a_layer_a_class_and_a_text_narrow_the_list(words, check):
    rows = causes(*words)
    assert rows and all(map(check, rows)) and len(rows) < 60


def test_what_is_not_known_is_refused_with_the_nearest_names():
    done = command("causes", "dafne-size")
    assert (done.returncode, done.stdout) == (2, "") and "daphne-size" in done.stderr
    done = command("causes", "nginx", "cf-idle-100s")
    assert (done.returncode, done.stdout) == (2, "") and "nginx-proxy-read-60s" in done.stderr
    assert command("causes", "").returncode == 2
    for words in (["--layer", "cloud"], ["--class", "timer"], ["--layers"]):
        done = command("causes", *words)
        assert done.returncode == 2 and done.stdout == "" and done.stderr, words
    done = command("causes", "--search", "no such thing anywhere")
    assert (done.returncode, done.stdout) == (1, "") and done.stderr


def test_the_pages_are_made_from_the_table_and_groff_sees_no_fault():
    document = (ROOT / "docs" / "causes.md").read_text()
    page = (ROOT / "man" / "holdfast-causes.1").read_text().replace("\\-", "-")
    for row in causes():
        assert f"### `{row['id']}`" in document and f"\n.B {row['id']}\n" in page, row["id"]
    if subprocess.run(["which", "groff"], capture_output=True).returncode == 0:
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", ROOT / "man" / "holdfast-causes.1"], capture_output=True, text=True)
        assert done.stderr == "", done.stderr[:500]
