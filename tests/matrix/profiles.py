# SPDX-License-Identifier: Apache-2.0
"""Killers that are profiles of `holdfast chaos`, each scaled to a few seconds, before a healthy application.

What is true is what `holdfast chaos --ground-truth` says of the same words. Where it would let another class pass as well, that is
taken over only where docs/diagnosis.md leaves it open, which is what ALSO lists."""
import functools
import json
import subprocess

from scene import BINARY
from truth import Truth

ALSO = {
    "nlb-350s": ("network",), "azure-lb-240s": ("network",), "nat-silent-300s": ("network",),  # a path that forgets silently
    "engineio-45s": ("pong_timeout",),  # the server's ping is a message, and the answer that it wants one too
    "lossy-network": ("network",),  # nothing ends, and yet it loses
    "blackhole-30s": ("lifetime",),  # it becomes a silent path at an age
    "origin-not-reading": ("network",), "story-a-7": ("network",),  # nothing goes through, whoever it is
    "buffering-proxy": ("blocked_server",),  # what comes back comes late or not at all
}
PERIODS = ("restart", "blocked_server", "network")  # they need several rounds
TALKING = {"message-limiter-20": {}, "frame-limiter-16384": {}, "story-a-10": {}, "chunk-limiter-20": {"size": 0}, "gunicorn-blocked": {},
           "blocked-loop": {}, "origin-not-reading": {}, "lossy-network": {}, "buffering-proxy": {}}
# Limits that are drawn; others are what the profile says.
SETS = {
    "message-limiter-20": [("rate_limit.messages", 4, 25)], "frame-limiter-16384": [("rate_limit.messages", 8, 25)],
    "chunk-limiter-20": [("rate_limit.messages", 12, 40)], "size-limit-1m": [("max_message.bytes", 3000, 900000)],
    "size-limit-128k-fin": [("max_message.bytes", 3000, 900000)], "story-a-10": [("rate_limit.messages", 4, 16)],
}
UNSCALED = ("lossy-network", "slow-network", "none", "chunk-limiter-20", "message-limiter-20", "frame-limiter-16384", "buffering-proxy")


@functools.cache
def names():
    done = subprocess.run([str(BINARY), "chaos", "--list", "--json"], capture_output=True, text=True, timeout=20, check=False)
    if done.returncode != 0:
        return []
    return [json.loads(line)["name"] for line in done.stdout.splitlines()]


def truth_of(name, words):
    done = subprocess.run([str(BINARY), "chaos", "--profile", name, *words, "--ground-truth"], capture_output=True, text=True, timeout=20,
                          check=True)
    return json.loads(done.stdout)


def words_for(scene, name):
    """The scale and the limits of a run, drawn."""
    words = []
    for setting, low, high in SETS.get(name, ()):
        words += ["--set", f"{setting}={scene.draw(setting, low, high, 0)}"]
    if name in UNSCALED:
        return words
    said = truth_of(name, ())
    seconds = said.get("value") if said.get("unit") == "s" else None
    if said["class"] == "restart":
        scale = scene.draw("period", 6, 9) / seconds
    elif said["class"] == "blocked_server" and seconds:
        scale = scene.draw("blocked", 2.5, 4) / seconds
    elif seconds:
        scale = scene.draw("seconds", 2.5, 8) / seconds
    else:
        scale = scene.draw("scale", 0.12, 0.2, 3)
    return [*words, "--scale", f"{scale:.6f}"]


def run_profile(name, scene):
    words = words_for(scene, name)
    said = truth_of(name, words)
    app = scene.node({"chunks": [10 ** 9, 1000, scene.draw("chunks", 5, 12, 0)]}).wait() if name == "chunk-limiter-20" else scene.application()
    scene.ask(scene.chaos(app.port, name, *words))
    if name in TALKING:
        every = scene.draw("every", 0.15, 0.4)
        scene.options += ["--send", '{"type":"say","text":"hello"}', "--every", f"{int(every * 1000)}ms"]
    elif scene.choose("told", True, False):
        scene.options += ["--send", '{"type":"ping"}', "--every", "1s"]
    if said["class"] == "size_limit":
        scene.options += ["--allow-load"]
    value = said.get("value")
    low, high = said.get("low", value), said.get("high", value)
    if said.get("counts") == "server":
        limit = scene.facts["rate_limit.messages"]
        low, high = limit, limit + 1
    scene.truth = Truth(said["class"], low, high, ALSO.get(name, ()), "server" if said.get("counts") == "server" else None)
    scene.budget = 25 if said["class"] == "none" else 60 if said["class"] in PERIODS else 45


def register(table):
    for name in names():
        table[f"chaos-{name}"] = functools.partial(run_profile, name)
