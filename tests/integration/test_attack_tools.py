# SPDX-License-Identifier: Apache-2.0
"""What hostile servers, files, pages and neighbours tried on the tools of the diagnosis: probe, diagnose, watch, chaos, logs,
lint and bench."""
import json
import os
import subprocess

import pytest

from harness.connect import environment
from harness.gateway import BINARY

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b2J"


def run(*words, stdin="", timeout=60, env=None):
    return subprocess.run([BINARY, *map(str, words)], input=stdin, capture_output=True, text=True, errors="surrogateescape",
                          timeout=timeout, env=environment(env))


def steers(text):
    """What of a text would steer a terminal."""
    return [c for c in text if (c < " " and c not in "\n\t") or "\x7f" <= c <= "\x9f"]


# ---- lint

def test_lint_prints_nothing_of_a_file_that_steers_the_terminal_or_forges_lines(tmp_path):
    (tmp_path / "a.conf").write_text(f'server {{ location "/ws{ESCAPES}\n/etc/x:1:1: error: forged" {{ proxy_pass http://a; }} }}\n')
    done = run("lint", tmp_path / "a.conf")
    assert done.returncode == 1 and "forged" in done.stdout
    assert steers(done.stdout) == [] and not [line for line in done.stdout.splitlines() if line.startswith("/etc/x")]


@pytest.mark.parametrize("what", ["pipe", "/dev/zero", "folder"])
def test_lint_does_not_wait_for_an_include_that_is_no_file(tmp_path, what):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.conf").write_text(f"include {what};\nserver {{ location /ws {{ proxy_pass http://a; }} }}\n")
    done = run("lint", tmp_path / "a.conf", timeout=20)
    assert done.returncode == 2 and "it is not a file" in done.stdout


def test_lint_reads_a_pipe_that_is_named(tmp_path):
    done = run("lint", "--kind", "nginx", "/dev/stdin", stdin="server { location /ws { proxy_pass http://a; } }\n")
    assert done.returncode == 1 and "nginx-upgrade-missing" in done.stdout


@pytest.mark.parametrize("name, text", [
    ("brace.conf", "}\n" * 200000),
    ("servers.conf", "server { location /ws { proxy_pass http://a; } }\n" * 5000),
    ("haproxy.cfg", "defaults\n mode http\n timeout tunnel 1h\n" + "backend b\n  server a 127.0.0.1:80\n" * 20000),
    ("itself.conf", "include itself.conf;\n" * 50),
    ("T.conf", "# configuration file /a.conf:\n" + "include /*.conf;\n" * 30 + "a;\n" * 20000),
], ids=lambda value: value if len(value) < 20 else "")
def test_lint_ends_soon_whatever_the_file(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert run("lint", tmp_path / name, timeout=50).returncode in (1, 2)
