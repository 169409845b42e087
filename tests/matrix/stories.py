# SPDX-License-Identifier: Apache-2.0
"""Story A as killers: a chain that ends after 24 s although both ends send their heartbeats, every 10 s. Here all times are a fifth:
it ends after 4.8 s, and each end beats every 2 s. One killer for each cause that can be run on a desk; none of them is the CDN's
idle timer. And story B: a limiter that counts the chunks of an answer."""
from scene import PYTHON, free_port, servers
from truth import Truth

FIFTH = 4.8
STORIES = {}


def story(function):
    STORIES[function.__name__.replace("_", "-")] = function
    return function


def beats(scene, every="2s"):
    """The client's own heartbeat, as the person who asks knows it."""
    scene.options += ["--send", '{"type":"ping"}', "--every", every]


@story
def story_a_watchdog_without_pongs(scene):
    """1: the server's own watchdog does not see the client's answers, which a hop eats."""
    server = scene.node({"heartbeat": [FIFTH / 2, "own"]}).wait()
    beats(scene)
    scene.ask(scene.box(server.port, pongs="drop"))
    scene.truth = Truth("pong_timeout", FIFTH)


@story
def story_a_gateway_with_a_lifetime(scene):
    """2: a gateway on the way ends each connection at an age."""
    server = scene.node({"heartbeat": [2, "own"]}).wait()
    beats(scene)
    scene.ask(scene.chaos(server.port, "story-a-2", "--scale", "0.2"))
    scene.truth = Truth("lifetime", FIFTH)


@story
def story_a_worker_with_a_blocked_loop(scene):
    """3: a call blocks the loop for good; gunicorn kills the worker."""
    log, _ = scene.log_of()
    beats(scene, "1s")
    scene.ask(scene.gunicorn({"block": [1.5, 3600], "log": log}, "--timeout", "4").wait())
    scene.truth, scene.budget = Truth("blocked_server", 2, 5.5), 60


@story
def story_a_ping_kills_the_path(scene):
    """4: the first ping of the server ends it, by a filter on the way."""
    server = scene.uvicorn().wait()
    beats(scene, "10s")  # Daphne's pings, which the profile plays, wait for messages
    scene.ask(scene.chaos(server.port, "story-a-4", "--scale", "0.2"))
    scene.truth = Truth("network")


@story
def story_a_handshake_that_never_ends(scene):
    """6: the origin's answer never comes, and who asked is told so after 4.8 s."""
    beats(scene)
    scene.ask(scene.chaos(scene.node().wait().port, "story-a-6", "--scale", "0.2"))
    scene.truth = Truth("handshake")


@story
def story_a_origin_stops_reading(scene):
    """7: the origin reads no more, and the proxy in front of it gives up writing."""
    log, _ = scene.log_of()
    app = scene.uvicorn({"stop_at": 4, "log": log}, "--ws-max-size", 10 ** 9).wait()
    proxy = servers.nginx(scene.folder, app.port, "600s", location="proxy_send_timeout 3s;")
    scene.ask(scene.keep(proxy).wait())
    scene.options += ["--send", "x" * 60000, "--every", "30ms", "--allow-load"]
    scene.truth = Truth("blocked_server", 3, 12)


@story
def story_a_quota_of_messages(scene):
    """10: a quota of messages, which the beats themselves use up."""
    scene.ask(scene.node({"limit": [12, "terminate", 0]}).wait())
    beats(scene, "400ms")
    scene.truth = Truth("message_limit", 12)


@story
def story_b_limiter_counts_chunks(scene):
    """A FastAPI chat whose limiter counts every chunk of an answer: 20 in a window."""
    port = free_port()
    env = {"CHAT_LIMIT": 20, "CHAT_WINDOW": 10, "CHAT_EVERY": 0.1, "CHAT_CHUNKS": 12, "CHAT_COUNTS": "chunks", "PYTHONDONTWRITEBYTECODE": "1"}
    server = scene.server("chat", [PYTHON, "-m", "uvicorn", "--port", port, "--log-level", "warning", "--ws-ping-interval", "3600",
                                   "chat:application"], env, port)
    scene.ask(server.wait(), "/chat")
    scene.options += ["--send", '{"ask":12}', "--every", "3s"]
    # One question and 12 chunks and the end: 14; the next question's sixth chunk is the 21st message. Theirs: 13 and 5, or 6.
    scene.truth = Truth("message_limit", 18, 20, counts="server")


def register(table):
    table.update(STORIES)
