# SPDX-License-Identifier: Apache-2.0
"""holdfast lint: each rule has a bad and a good sample in tests/vectors/lint; the real server accepts both, the bad one
has the finding, and the good one has none at all."""
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.gateway import BINARY

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "lint"
SERVERS = {".conf": "nginx", ".cfg": "haproxy", ".Caddyfile": "caddy"}
CADDY_27 = {"caddy-stream-close", "caddy-stream-timeout"}  # words that Caddy knows since 2.7


def run(*words, stdin=None):
    return subprocess.run([BINARY, "lint", *map(str, words)], input=stdin or "", capture_output=True, text=True, timeout=60)


def lint(*words, stdin=None):
    """(exit code, findings, summary)"""
    done = run("--json", *words, stdin=stdin)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stderr == ""
    assert records[-1]["type"] == "summary" and all(record["v"] == 1 for record in records)
    return done.returncode, records[:-1], records[-1]


def rules():
    return [json.loads(line) for line in run("--rules", "--json").stdout.splitlines()]


def samples():
    return sorted(VECTORS.iterdir())


def test_every_rule_has_a_bad_and_a_good_sample():
    wanted = {f"{rule['rule']}.{which}" for rule in rules() if rule["rule"] != "unreadable" for which in ("bad", "good")}
    assert {path.name.rsplit(".", 1)[0] for path in samples()} == wanted


@pytest.mark.parametrize("path", samples(), ids=lambda path: path.name)
def test_the_bad_sample_is_found_and_the_good_one_is_clean(path):
    rule, which = path.name.split(".")[:2]
    _, findings, summary = lint(path)
    assert summary["places"] >= 1
    found = {finding["rule"] for finding in findings}
    if which == "good":
        assert found == set()
        return
    assert found == {rule}
    for finding in findings:
        assert 1 <= finding["line"] <= len(path.read_text().splitlines()) and finding["column"] >= 1
        assert finding["what"] and finding["why"] and finding["fix"]


def accepted(server, path, folder):
    words = {"nginx": ["nginx", "-t", "-p", folder, "-c", path], "haproxy": ["haproxy", "-c", "-f", path],
             "caddy": ["caddy", "adapt", "--adapter", "caddyfile", "--config", path]}[server]
    return subprocess.run(words, capture_output=True, text=True, timeout=60)


def caddy_version():
    text = subprocess.run(["caddy", "version"], capture_output=True, text=True).stdout
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])


@pytest.mark.parametrize("server", ["nginx", "haproxy", "caddy"])
def test_the_real_server_accepts_the_samples(server, tmp_path):
    assert shutil.which(server), f"{server} is not installed"
    mine = [path for path in samples() if SERVERS[path.suffix] == server]
    assert len(mine) >= 10
    for path in mine:
        if server == "caddy" and path.name.split(".")[0] in CADDY_27 and "stream_" in path.read_text().split("ignore")[0] \
                and caddy_version() < (2, 7):
            continue
        done = accepted(server, path, tmp_path)
        assert done.returncode == 0, f"{path.name}: {done.stdout}{done.stderr}"


def test_includes_are_followed_and_named(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text("events {}\nhttp {\n  include conf.d/*.conf;\n}\n")
    (tmp_path / "conf.d" / "a.conf").write_text("server {\n  location /ws/ {\n    proxy_pass http://127.0.0.1:1;\n  }\n}\n")
    code, findings, summary = lint(tmp_path / "nginx.conf")
    assert code == 1 and summary["files"] == 2
    missing = [finding for finding in findings if finding["rule"] == "nginx-upgrade-missing"]
    assert [(finding["file"], finding["line"], finding["where"]) for finding in missing] == \
        [(str(tmp_path / "conf.d" / "a.conf"), 2, "location /ws/")]


def test_the_output_of_nginx_T_is_read_as_the_files_it_is_of(tmp_path):
    (tmp_path / "inner.conf").write_text("server {\n  listen 127.0.0.1:18080;\n  location /ws/ {\n    proxy_pass http://127.0.0.1:1;\n  }\n}\n")
    main = tmp_path / "nginx.conf"
    main.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\n  include {tmp_path}/inner.conf;\n}}\n")
    dump = subprocess.run(["nginx", "-T", "-p", tmp_path, "-c", main], capture_output=True, text=True, timeout=30)
    assert dump.returncode == 0, dump.stderr
    _, findings, _ = lint("--kind", "nginx", "-", stdin=dump.stdout)
    assert [(finding["file"], finding["line"]) for finding in findings if finding["rule"] == "nginx-upgrade-missing"] == \
        [(str(tmp_path / "inner.conf"), 3)]


def test_a_comment_takes_a_finding_away_for_its_place_alone(tmp_path):
    location = "  location /ws/{name} {{{comment}\n    proxy_pass http://127.0.0.1:1;\n  }}\n"
    text = "events {}\nhttp { server {\n" + location.format(name="a", comment=" # holdfast-lint: ignore nginx-upgrade-missing") + \
        location.format(name="b", comment="") + "}}\n"
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    _, findings, summary = lint(path)
    assert summary["suppressed"] == 1
    assert [finding["where"] for finding in findings if finding["rule"] == "nginx-upgrade-missing"] == ["location /ws/b"]


def test_a_rule_that_does_not_exist_cannot_be_ignored_silently(tmp_path):
    path = tmp_path / "haproxy.cfg"
    path.write_text("global # holdfast-lint: ignore no-such-rule\n")
    code, findings, _ = lint(path)
    assert code == 2 and "no-such-rule" in findings[0]["what"]


def test_what_cannot_be_read_is_said_and_the_rest_is_checked(tmp_path):
    path = tmp_path / "nginx.conf"
    path.write_text("events {}\nhttp {\n include missing.conf;\n server {\n location /ws/ { proxy_pass http://x; }\n")
    code, findings, _ = lint(path)
    assert code == 2
    assert {"unreadable", "nginx-upgrade-missing"} <= {finding["rule"] for finding in findings}
    assert any("missing.conf" in finding["what"] for finding in findings)
    assert lint(tmp_path / "nowhere.conf")[0] == 2


def test_a_file_that_includes_itself_ends(tmp_path):
    path = tmp_path / "nginx.conf"
    path.write_text(f"include {path};\ninclude {path};\n")
    code, findings, _ = lint(path)
    assert code == 2 and "includes itself" in findings[0]["what"] + findings[-1]["what"]


def test_sarif_names_rule_place_and_level():
    done = run("--sarif", VECTORS / "nginx-upgrade-missing.bad.conf")
    log = json.loads(done.stdout)
    assert done.returncode == 1 and log["version"] == "2.1.0"
    (result,) = log["runs"][0]["results"]
    assert result["ruleId"] == "nginx-upgrade-missing" and result["level"] == "error"
    assert log["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert region["startLine"] > 1 and region["startColumn"] >= 1


def test_text_shows_the_line_the_reason_and_the_fix():
    done = run(VECTORS / "haproxy-tunnel-short.bad.cfg")
    assert done.returncode == 1
    assert "haproxy-tunnel-short.bad.cfg:" in done.stdout and "| timeout tunnel 30s" in done.stdout
    assert "why: " in done.stdout and "fix: timeout tunnel 1h" in done.stdout and "\033" not in done.stdout


def test_notes_alone_fail_only_when_asked():
    note = VECTORS / "nginx-log-time.bad.conf"
    assert run(note).returncode == 0
    assert run("--fail-on", "note", note).returncode == 1


def test_mistakes_in_the_words_are_said():
    for words in ([], ["--kind", "apache", "x"], ["--format", "xml", "x"], ["--fail-on", "never", "x"], ["--no-such"]):
        done = run(*words)
        assert done.returncode == 2 and done.stderr and done.stdout == ""
