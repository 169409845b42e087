# SPDX-License-Identifier: Apache-2.0
"""Story A and story B as questions to `holdfast diagnose`: one chain, many causes, told apart; none of them called the CDN's idle timer.

What is set up stands in tests/matrix/stories.py, times at a fifth of the story's. All are asked side by side."""
import concurrent.futures
import json
import subprocess
import sys
from pathlib import Path

import pytest

from harness.gateway import BINARY

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "matrix"))

import blind  # noqa: E402
from stories import STORIES  # noqa: E402

# killer: the rows of the catalogue of which one must stand first among the causes
CAUSES = {
    "story-a-watchdog-without-pongs": {"node-ws-heartbeat", "proxy-not-forwarding-pong", "websockets-defaults", "uvicorn-ping-20-20"},
    "story-a-gateway-with-a-lifetime": None,
    "story-a-worker-with-a-blocked-loop": {"gunicorn-worker-timeout"},
    "story-a-ping-kills-the-path": {"daphne-ping-kills-client", "antivirus-filter"},
    "story-a-handshake-that-never-ends": {"cf-origin-connect-19s"},
    "story-a-origin-stops-reading": {"cf-proxy-write-30s", "nginx-proxy-send-60s", "nginx-send-timeout-60s"},
    "story-a-quota-of-messages": {"app-ratelimit-chunks", "provider-ratelimit", "aws-apigw-rate"},
}
# the causes that need a browser, a broker or a library's own protocol: what `holdfast causes` names as the test that decides
ELSEWHERE = ["firefox-close-20s", "mqtt-1.5x", "engineio-v4", "engineio-v2-30s"]


@pytest.fixture(scope="module")
def answers():
    with concurrent.futures.ThreadPoolExecutor(len(STORIES)) as pool:
        return dict(zip(STORIES, pool.map(lambda name: blind.one(name, 1, budget_max=30), STORIES)))


def verdict_of(answers, name):
    record = answers[name]
    assert "fault" not in record, record["fault"]
    if "skipped" in record:
        pytest.skip(record["skipped"])
    assert record["verdict"], record["complaint"]
    return record


@pytest.mark.parametrize("name", list(STORIES))
def test_the_verdict_is_the_true_class_and_value(answers, name):
    record = verdict_of(answers, name)
    assert record["outcome"] == "right", json.dumps(record, indent=1)


@pytest.mark.parametrize("name", list(CAUSES))
def test_no_story_comes_out_as_an_idle_timer_of_the_cdn(answers, name):
    verdict = verdict_of(answers, name)["verdict"]
    assert verdict["class"] != "idle_timer"
    assert not [cause for cause in verdict["causes"] if cause["id"] in ("cf-idle-100s", "cloudfront-idle-10m")], verdict["causes"]


@pytest.mark.parametrize("name", [name for name, rows in CAUSES.items() if rows])
def test_the_cause_is_among_those_that_are_named(answers, name):
    named = [cause["id"] for cause in verdict_of(answers, name)["verdict"]["causes"]]
    assert CAUSES[name] & set(named[:4]), named


def test_a_limiter_of_chunks_is_named_with_its_count_and_what_to_write(answers):
    verdict = verdict_of(answers, "story-b-limiter-counts-chunks")["verdict"]
    assert verdict["class"] == "message_limit" and verdict["counts"] == "server", verdict
    assert 18 <= verdict["server_messages"] <= 20
    assert verdict["causes"][0]["id"] == "app-ratelimit-chunks", verdict["causes"]
    assert verdict["fix"], verdict


@pytest.mark.parametrize("row", ELSEWHERE)
def test_a_cause_that_needs_its_own_program_names_the_test_that_decides(row):
    done = subprocess.run([str(BINARY), "causes", row, "--json"], capture_output=True, text=True, timeout=10, check=True)
    record = json.loads(done.stdout)
    assert record["id"] == row and record["experiment"], record
