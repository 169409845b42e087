# SPDX-License-Identifier: Apache-2.0
"""The real killers: each function sets one up in a scene, with random parameters, and says what is true of it.

Nothing here knows holdfast; what is true comes from the documented meaning of a setting, or, where a program decides itself when
it looks, from what its own log says when the run is over."""
import signal

import networks
import profiles
import stories
from scene import APPS, free_port, servers, signal_of
from truth import Truth

KILLERS = {}


def killer(function):
    KILLERS[function.__name__.replace("_", "-")] = function
    return function


def chatter(scene, low=0.15, high=0.4, size=0):
    """What a person says whose application talks: its text, and how often."""
    every = scene.draw("every", low, high)
    scene.options += ["--send", "m" * size if size else '{"type":"say","text":"hello"}', "--every", f"{int(every * 1000)}ms"]
    return every


# Timers of proxies


@killer
def nginx_proxy_read_timeout(scene):
    timer = scene.draw("timer", 2.5, 8)
    scene.ask(scene.keep(servers.nginx(scene.folder, scene.application().port, f"{int(timer * 1000)}ms")).wait())
    scene.truth = Truth("idle_timer", timer)


@killer
def nginx_proxy_send_timeout(scene):
    """The application stops reading at a message; nginx gives it up when it could not write for so long."""
    timer = scene.draw("timer", 3, 6)
    log, stops = scene.log_of()
    ends = scene.folder / "tunnels.log"
    app = scene.uvicorn({"stop_at": scene.draw("stop_at", 3, 8, 0), "log": log}, "--ws-max-size", 10 ** 9).wait()
    proxy = servers.nginx(scene.folder, app.port, "600s", http=f"log_format matrix '$msec $remote_port';",
                          location=f"access_log {ends} matrix; proxy_send_timeout {int(timer * 1000)}ms; proxy_set_header X-Port $remote_port;")
    scene.ask(scene.keep(proxy).wait())
    scene.options += ["--send", "x" * 60000, "--every", "30ms", "--allow-load"]

    def truth():
        """From the message that was read last to the end; the buffers fill in between, and how long that takes is measured."""
        stopped = {word.partition(":")[2]: at for at, _, word in stops()}
        lines = [line.split() for line in ends.read_text().splitlines()] if ends.exists() else []
        took = [float(at) - stopped[port] for at, port in lines if port in stopped]
        took = [seconds for seconds in took if seconds >= timer - 0.05]  # the others were closed by who asked
        return Truth("blocked_server", min(took, default=timer), max(took, default=timer + 8), note="the buffers fill first")
    scene.truth = truth


@killer
def nginx_worker_shutdown_timeout(scene):
    """Reloads at an even beat; each ends what the old workers hold."""
    period, grace = scene.draw("period", 6, 9), scene.draw("grace", 0.5, 2)
    proxy = scene.keep(servers.nginx(scene.folder, scene.application().port, "600s",
                                     main=f"worker_shutdown_timeout {int(grace * 1000)}ms;")).wait()
    scene.every(period, signal_of(proxy, signal.SIGHUP), scene.draw("first", 2, 5))
    scene.ask(proxy)
    scene.truth, scene.budget = Truth("restart", period), 60


@killer
def nginx_without_upgrade(scene):
    scene.ask(scene.keep(servers.nginx_plain(scene.folder, scene.application().port, scene.choose("buffering", "on", "off"))).wait())
    scene.truth = Truth("handshake")


@killer
def haproxy_timeout_tunnel(scene):
    timer = scene.draw("timer", 2.5, 8)
    scene.ask(scene.keep(servers.haproxy(scene.folder, scene.application().port, f"{int(timer * 1000)}ms")).wait())
    scene.truth = Truth("idle_timer", timer)


@killer
def haproxy_hard_stop_after(scene):
    period, grace = scene.draw("period", 6, 9), scene.draw("grace", 0.5, 2)
    proxy = scene.keep(servers.haproxy(scene.folder, scene.application().port, "600s", words=("-W", "-db"),
                                       settings=f"hard-stop-after {int(grace * 1000)}ms")).wait()
    scene.every(period, signal_of(proxy, signal.SIGUSR2), scene.draw("first", 2, 5))
    scene.ask(proxy)
    scene.truth, scene.budget = Truth("restart", period), 60


# Application servers


def without_pongs(scene, server):
    """A hop that eats pongs, or sends them on without their payload, which counts for nothing."""
    return scene.box(server.port, pongs=scene.choose("pongs", "drop", "empty"))


def daphne_window(interval, timeout):
    """Daphne looks for whom to ping every 2 s; autobahn rounds the deadline of the answer down to a whole second of the clock."""
    return Truth("pong_timeout", interval + timeout - 1, interval + timeout + 2.1, note="Daphne looks every 2 s, and rounds down to a second")


@killer
def daphne_ping_timeout(scene):
    interval, timeout = scene.draw("interval", 1, 4, 0), scene.draw("timeout", 1, 4, 0)
    server = scene.daphne({"answer": scene.choose("answer", "echo", "silent")}, "--ping-interval", interval, "--ping-timeout", timeout)
    scene.ask(without_pongs(scene, server.wait()))
    scene.truth = daphne_window(interval, timeout)


@killer
def daphne_websocket_timeout(scene):
    age = scene.draw("age", 4, 10, 0)
    scene.ask(scene.daphne({"answer": scene.choose("answer", "echo", "silent")}, "--websocket_timeout", age).wait())
    scene.truth = Truth("lifetime", age, age + 2.05, note="Daphne looks every 2 s")


@killer
def uvicorn_ws_ping_timeout(scene):
    interval, timeout = scene.draw("interval", 1, 4), scene.draw("timeout", 1, 4)
    server = scene.uvicorn({"answer": scene.choose("answer", "echo", "silent")}, "--ws-ping-interval", interval, "--ws-ping-timeout", timeout)
    scene.ask(without_pongs(scene, server.wait()))
    scene.truth = Truth("pong_timeout", interval + timeout)


@killer
def tight_ping_window(scene):
    """Asked directly: who answers lives, and who loses a few seconds of answers does not. A finding, since it is so tight."""
    interval, timeout = scene.draw("interval", 1, 4, 0), scene.draw("timeout", 1, 4, 0)
    if scene.choose("server", "uvicorn", "daphne") == "uvicorn":
        server = scene.uvicorn({}, "--ws-ping-interval", interval, "--ws-ping-timeout", timeout)
        scene.truth = Truth("pong_timeout", interval + timeout)
    else:
        server = scene.daphne({}, "--ping-interval", interval, "--ping-timeout", timeout)
        scene.truth = daphne_window(interval, timeout)
    scene.ask(server.wait())


@killer
def uvicorn_ws_max_size(scene):
    size = int(10 ** scene.draw("log10_size", 3.5, 6))
    scene.ask(scene.uvicorn({}, "--ws-max-size", size).wait())
    scene.options += ["--allow-load"]
    scene.truth = Truth("size_limit", size)


@killer
def uvicorn_exception(scene):
    count = scene.draw("raise_at", 3, 25, 0)
    scene.ask(scene.uvicorn({"raise_at": count, "answer": scene.choose("answer", "echo", "silent")}).wait())
    chatter(scene)
    scene.truth = Truth("message_limit", count)


@killer
def daphne_exception(scene):
    count = scene.draw("raise_at", 3, 25, 0)
    scene.ask(scene.daphne({"raise_at": count, "answer": scene.choose("answer", "echo", "silent")}).wait())
    every = chatter(scene)
    scene.truth = Truth("message_limit", count, count + int(1.1 / every) + 1, note="Daphne looks for dead applications once in a second")


@killer
def gunicorn_blocked_loop(scene):
    """A call that never returns blocks the loop, in each worker once; gunicorn kills a worker that is not heard for so long."""
    timeout = scene.draw("timeout", 4, 8, 0)
    log, _ = scene.log_of()
    server = scene.gunicorn({"block": [scene.draw("after", 3, 7), 3600], "log": log}, "--timeout", timeout)
    scene.ask(server.wait())
    chatter(scene, 0.4, 0.9)
    # The worker says that it lives each timeout / 2 seconds, and gunicorn looks once in a second.
    scene.truth, scene.budget = Truth("blocked_server", timeout / 2, timeout + 1.5, note="from timeout / 2 to timeout + 1"), 60


@killer
def application_demands_messages(scene):
    """It answers pings, as its library does, and counts none of them."""
    timer = scene.draw("timer", 2.5, 8)
    kind = scene.choose("server", "uvicorn", "daphne")
    app = {"idle": timer, "answer": scene.choose("answer", "echo", "silent")}
    scene.ask((scene.uvicorn if kind == "uvicorn" else scene.daphne)(app).wait())
    if scene.choose("told", True, False):
        scene.options += ["--send", '{"type":"ping"}', "--every", "1s"]
    scene.truth = Truth("idle_timer", timer)


@killer
def application_token_expires(scene):
    """4401 at an age, whatever is said: a token's end."""
    age = scene.draw("age", 3, 8)
    scene.ask(scene.uvicorn({"age": age, "answer": scene.choose("answer", "echo", "silent")}).wait())
    scene.truth = Truth("lifetime", age)


@killer
def node_limiter(scene):
    count = scene.draw("limit", 3, 30, 0)
    how = scene.choose("how", 1008, "terminate", 4429)
    answer, push = scene.choose("answer", "echo", "silent"), scene.choose("push", 0, 0, 0.7)
    scene.ask(scene.node({"limit": [count, how, 0], "answer": answer, "push": push}).wait())
    chatter(scene)
    scene.truth = Truth("message_limit", count)


@killer
def node_window_limiter(scene):
    """So many messages in a window: who is slow never meets it, and the ramp of --allow-load does."""
    count, window = scene.draw("limit", 8, 20, 0), scene.draw("window", 1.5, 3)
    scene.ask(scene.node({"limit": [count, scene.choose("how", 1008, "terminate"), window], "answer": scene.choose("answer", "echo", "silent")}).wait())
    scene.options += ["--send", '{"type":"say","text":"hello"}', "--every", "1s", "--allow-load"]
    scene.truth = Truth("message_limit", count)


@killer
def node_chunk_limiter(scene):
    """It counts what the application streams as well as what the client says, and one answer is several messages."""
    chunks, questions = scene.draw("chunks", 4, 9, 0), scene.draw("questions", 3, 8, 0)
    limit = (chunks + 1) * questions - scene.draw("short", 1, 3, 0)
    scene.ask(scene.node({"chunks": [limit, scene.choose("how", 1008, "terminate"), chunks]}).wait())
    chatter(scene)
    scene.truth = Truth("message_limit", questions, note=f"theirs and ours together: {limit}")


@killer
def node_max_payload(scene):
    size = int(10 ** scene.draw("log10_size", 3.5, 6))
    scene.ask(scene.node({"max": size}).wait())
    scene.options += ["--allow-load"]
    scene.truth = Truth("size_limit", size)


@killer
def node_heartbeat(scene):
    """The pattern of ws's README; the pongs are lost on their way."""
    interval, how = scene.draw("interval", 1.5, 4), scene.choose("how", "own", "shared")
    server = scene.node({"heartbeat": [interval, how], "answer": scene.choose("answer", "echo", "silent")}).wait()
    # ws does not compare the payload of a pong: one that was emptied on its way counts as well.
    scene.ask(scene.box(server.port, pongs="drop"))
    low = 2 * interval if how == "own" else interval
    scene.truth = Truth("pong_timeout", low, 2 * interval, note="" if how == "own" else "one beat for all: from one interval to two")


@killer
def uvicorn_restarted(scene):
    """SIGTERM at an even beat, as by a supervisor with a memory limit, and started again at once."""
    period = scene.draw("period", 6, 9)
    answer = scene.choose("answer", "echo", "silent")
    port, running = free_port(), []

    def start():
        while running:
            running.pop().stop()
        running.append(servers.Server(scene.folder, f"uvicorn-{scene.random.random()}", [
            servers.PYTHON, "-m", "uvicorn", "--port", port, "--log-level", "warning", "--ws-ping-interval", "3600", "asgi:application"],
            port, scene.python_env({"answer": answer}), APPS))
    start()
    scene.stack.callback(lambda: [server.stop() for server in running])
    running[0].wait()
    scene.every(period, start, scene.draw("first", 3, 6))
    scene.ask(running[0])
    scene.truth, scene.budget = Truth("restart", period), 60


# Nothing is wrong


@killer
def healthy(scene):
    scene.ask(scene.application())
    if scene.choose("told", True, False):
        chatter(scene, 0.5, 1)
    scene.truth, scene.budget = Truth("none"), 20


@killer
def healthy_that_pushes(scene):
    """A server that sends messages of its own accord."""
    scene.ask(scene.node({"push": scene.draw("push", 0.2, 2), "answer": scene.choose("answer", "echo", "silent")}).wait())
    if scene.choose("told", True, False):
        chatter(scene, 0.5, 1)
    scene.truth, scene.budget = Truth("none"), 20


@killer
def healthy_behind_nginx(scene):
    scene.ask(scene.keep(servers.nginx(scene.folder, scene.application().port, "600s")).wait())
    scene.truth, scene.budget = Truth("none"), 20


@killer
def healthy_with_server_pings(scene):
    """A server that pings and wants its answers gets them: nothing ends that should not."""
    interval = scene.draw("interval", 1, 3, 0)
    kind = scene.choose("server", "uvicorn", "daphne")
    server = (scene.uvicorn({}, "--ws-ping-interval", interval, "--ws-ping-timeout", "30") if kind == "uvicorn"
              else scene.daphne({}, "--ping-interval", interval, "--ping-timeout", "30"))
    scene.ask(server.wait())
    scene.truth, scene.budget = Truth("none"), 20


networks.register(KILLERS)
profiles.register(KILLERS)
stories.register(KILLERS)
