# SPDX-License-Identifier: Apache-2.0
"""`holdfast diagnose` as a whole command: its words, its budget, its records, and verdicts against killers with small timers. What the
verdict is worth against many of them, blind, is tests/matrix's."""
import concurrent.futures
import json
import re
import signal
import socket
import subprocess
import time

import pytest
from harness import servers
from harness.connect import environment
from harness.gateway import BINARY
from harness.process import free_port

CLASSES = {"none", "idle_timer", "lifetime", "message_limit", "size_limit", "restart", "pong_timeout", "blocked_server", "network",
           "handshake", "inconclusive"}


def diagnose(*words, timeout=50):
    """(exit code, records, standard error, seconds)"""
    begun = time.monotonic()
    done = subprocess.run([BINARY, "diagnose", *map(str, words)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, env=environment(None))
    records = [json.loads(line) for line in done.stdout.splitlines()] if "--json" in words else done.stdout
    return done.returncode, records, done.stderr, time.monotonic() - begun


def verdict_of(records):
    assert all(r["v"] == 1 and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", r["time"]) for r in records)
    assert [r["type"] for r in records].count("verdict") == 1
    v = records[-1]
    assert v["type"] == "verdict" and v["class"] in CLASSES
    assert 0 <= v["confidence"] <= 1
    assert all(0 <= c["likelihood"] <= 1 for c in v["causes"])
    assert isinstance(v["ruled_out"], list)
    return v


def test_a_mistake_in_its_words_ends_it_with_2_and_says_what_to_write():
    for words, told in (([], "which URL?"), (["ftp://x"], "ftp"), (["--budget", "soon", "ws://x"], "a number with a unit"),
                        (["--budget", "1s", "ws://x"], "too short"), (["--only", "silence,nothing", "ws://x"], "no such experiment"),
                        (["--every", "0s", "ws://x"], "too short"), (["--only", "size", "ws://x"], "--allow-load"),
                        (["--only", "path", "ws://x"], "--compare"), (["ws://x", "ws://y"], "--compare"), (["--no-such"], "--help")):
        code, out, err, _ = diagnose(*words)
        assert code == 2 and told in err and not out, (words, err)
    code, out, err, _ = diagnose("--help")
    assert code == 0 and "--budget" in out and "--header" in out and not err


def test_a_report_that_cannot_be_written_is_said_before_the_run_and_an_old_one_is_kept(tmp_path):
    code, _, told, _ = diagnose("--report", tmp_path / "no" / "x.html", "ws://127.0.0.1:1/")
    assert code == 2 and "--report" in told and "No such file or directory" in told and "refused" not in told
    old = tmp_path / "old.html"
    old.write_text("what stood there")
    code, shown, told, _ = diagnose("--budget", "3s", "--report", old, "ws://127.0.0.1:1/")
    assert code == 3 and "refused" in told and old.read_text().startswith("<!doctype html>")
    assert "longest life" not in shown + told, "a table without rows"


def test_a_timer_of_a_proxy_is_found_with_its_value_and_a_report(echo, scene, run_folder, tmp_path):
    proxy = servers.nginx(run_folder, echo.port, "1500ms")
    scene.callback(proxy.stop)
    proxy.wait()
    report = tmp_path / "report.html"
    code, records, _, seconds = diagnose("--json", "--budget", "30s", "--report", report, f"ws://127.0.0.1:{proxy.port}/")
    v = verdict_of(records)
    assert (code, v["class"], v["unit"]) == (1, "idle_timer", "s"), v
    assert abs(v["value"] - 1.5) < 0.15, v
    assert seconds < 30
    types = {r["type"] for r in records}
    assert {"arm", "open", "end", "infer", "verdict"} <= types
    ends = [r for r in records if r["type"] == "end" and r["arm"] == "silence" and r["how"] == "fin"]
    assert ends and all(1400 < r["held_ms"] < 2400 for r in ends)
    page = report.read_text()
    assert page.startswith("<!doctype html>") and page.rstrip().endswith("</html>")
    assert page.count("<svg") >= 4 and "<script" not in page and "idle_timer" in page
    assert not re.search(r'(?:src|href)="', page), "the report asks for nothing from elsewhere"


def test_what_does_not_open_is_a_handshake_with_the_status_that_a_browser_hides(backend):
    forbidden = backend(lambda c: c.answer(403, b"no\n"))
    url = forbidden.url.replace("http", "ws", 1)
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        refused = both.submit(diagnose, "--json", "--budget", "8s", url)
        nobody = both.submit(diagnose, "--json", "--budget", "8s", f"ws://127.0.0.1:{free_port()}/")
    code, records, _, _ = refused.result()
    assert code == 3 and verdict_of(records)["class"] == "handshake"
    assert any("403" in note for note in records[-1]["notes"])
    assert records[-1]["sentence"] == "The connection does not open: HTTP 403." and "--origin" in records[-1]["fix"]
    code, records, _, seconds = nobody.result()
    assert code == 3 and verdict_of(records)["class"] == "handshake" and seconds < 8
    assert {r["how"] for r in records if r["type"] == "end"} == {"refused"}
    assert "Connection refused" in records[-1]["sentence"] and "another port" in records[-1]["fix"]


def test_a_change_that_makes_it_open_stands_in_the_fix(echo):
    code, records, _, _ = diagnose("--json", "--budget", "12s", echo.ws.replace("ws:", "wss:", 1))
    assert code == 3 and verdict_of(records)["class"] == "handshake"
    assert "It opens so: ws instead of wss." in records[-1]["fix"]
    assert "If it is" not in records[-1]["fix"], "no product's line where none stands out"


def test_the_budget_is_a_bound_on_the_whole_run_also_when_nobody_answers(scene):
    silent = socket.create_server(("127.0.0.1", 0))  # TCP answers, and nothing else does
    scene.callback(silent.close)

    def run(words):
        return diagnose("--json", "--budget", "5s", *words)
    with concurrent.futures.ThreadPoolExecutor(2) as both:
        for code, records, _, seconds in both.map(run, ([f"ws://127.0.0.1:{silent.getsockname()[1]}/"], [f"wss://127.0.0.1:{silent.getsockname()[1]}/"])):
            assert code == 3 and verdict_of(records)["class"] == "handshake"
            assert seconds < (7 if "build-test" in str(BINARY) else 5)  # a sanitizer begins and ends slowly


def test_an_interrupt_ends_it_with_the_verdict_of_what_is_known(echo):
    process = subprocess.Popen([BINARY, "diagnose", "--json", "--budget", "60s", echo.ws], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=environment(None))
    seen = []
    while not seen or seen[-1]["type"] != "infer":
        seen.append(json.loads(process.stdout.readline()))
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    v = verdict_of(seen + [json.loads(line) for line in out.splitlines()])
    assert v["interrupted"] is True and v["class"] == "inconclusive" and "interrupted" in v["sentence"]
    assert process.returncode == 4


def test_connections_that_die_at_once_are_begun_ever_more_slowly(backend):
    opened = []

    def close(c):
        opened.append(time.monotonic())
        c.upgrade().close()
    back = backend(close)
    code, records, _, _ = diagnose("--json", "--budget", "10s", "--only", "silence", back.url.replace("http", "ws", 1))
    assert verdict_of(records) and code in (1, 4)
    assert 5 < len(opened) < 40  # three places, each after 0.5, 1, 2 s and so on


@pytest.mark.parametrize("json_wanted", [True, False])
def test_without_a_terminal_nothing_is_drawn_and_the_verdict_goes_to_standard_output(echo, json_wanted):
    code, out, err, _ = diagnose("--budget", "3s", "--only", "silence,ping", *(["--json"] if json_wanted else []), echo.ws)
    assert code in (0, 4) and "\x1b" not in err
    if json_wanted:
        assert verdict_of(out)["class"] in ("none", "inconclusive")
    else:
        assert "\x1b" not in out and "silence" in out and "confidence" in out
