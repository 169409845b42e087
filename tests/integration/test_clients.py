# SPDX-License-Identifier: Apache-2.0
"""Real clients in front of real backends, with the gateway between: python3-websockets, Node ws, wscat, Chromium."""
import asyncio
import base64
import functools
import http.server
import json
import os
import subprocess
import threading
import time

import pytest
import websockets

from harness import raw, servers

TEXTS = ["", "plain", "příliš žluťoučký kůň 👋", "x" * 70_000]
BLOBS = [b"", bytes(range(256)), b"\0" * 66_000]


def node_client(url, **how):
    """Runs node/client.js; its one JSON line."""
    done = subprocess.run(["node", servers.node_ready() / "client.js", url], input=json.dumps({"send": [], **how}),
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def items():
    return [{"text": t} for t in TEXTS] + [{"base64": base64.b64encode(b).decode()} for b in BLOBS]


@pytest.fixture(params=["echo", "node"])
def app(request, echo, node):
    """Both echo applications: python3-websockets and Node ws."""
    return {"echo": echo, "node": node}[request.param]


# ---- python3-websockets

@pytest.mark.parametrize("compression", [None, "deflate"])
def test_python_websockets_gets_every_message_back(gateway, app, compression):
    g = gateway(app.url)

    async def talk():
        async with websockets.connect(g.url + "/ws", compression=compression, max_size=None) as socket:
            assert bool(socket.extensions) == bool(compression)
            for message in TEXTS + BLOBS:
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(iter_parts())
            assert await socket.recv() == "one two three"
            await (await socket.ping(b"payload"))
    asyncio.run(talk())
    assert g.ending()["code"] == 1000


async def iter_parts():
    for part in ("one ", "two ", "three"):
        yield part


def test_python_websockets_sees_the_backends_close_code_and_the_backend_sees_its(gateway, app, backend):
    g = gateway(app.url)

    async def talk():
        async with websockets.connect(g.url) as socket:
            await socket.send("close 4123 až zítra")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4123, "až zítra")
        async with websockets.connect(g.url) as socket:
            await socket.close(3001, "mine")
    asyncio.run(talk())
    endings = g.wait_endings(2)
    assert sorted(e["code"] for e in endings) == [3001, 4123]
    assert {e["code"]: e["who"] for e in endings} == {3001: "client", 4123: "backend"}
    assert {e["code"]: e["reason"] for e in endings} == {3001: "mine", 4123: "až zítra"}


def test_python_websockets_agrees_on_a_subprotocol(gateway, app):
    g = gateway(app.url)

    async def talk():
        async with websockets.connect(g.url, subprotocols=["v1.echo"]) as socket:
            assert socket.subprotocol == "v1.echo"
    asyncio.run(talk())


def test_two_hundred_clients_at_once_each_get_their_own_answers(gateway, echo):
    g = gateway(echo.url)

    async def one(n):
        async with websockets.connect(g.url, compression=None, open_timeout=20) as socket:
            for i in range(20):
                await socket.send(f"{n}:{i}")
                assert await socket.recv() == f"{n}:{i}"

    async def all_of_them():
        await asyncio.gather(*(one(n) for n in range(200)))
    asyncio.run(all_of_them())
    assert len(g.wait_endings(200)) == 200


# ---- Node ws

@pytest.mark.parametrize("deflate", [False, True])
def test_node_ws_gets_every_message_back(gateway, app, deflate):
    g = gateway(app.url)
    result = node_client(g.url, send=items(), expect=len(items()), close=[4000, "done"], deflate=deflate,
                         protocols=["v2.echo"])
    assert result["received"] == items()
    assert ("permessage-deflate" in result["extensions"]) == deflate
    assert result["protocol"] == "v2.echo"
    assert result["close"] == [4000, "done"]
    assert g.ending()["code"] == 4000


def test_node_ws_sees_the_backends_close(gateway, app):
    g = gateway(app.url)
    assert node_client(g.url, send=[{"text": "close 4001 token expired"}], expect=0)["close"] == [4001, "token expired"]
    assert node_client(g.url, send=[{"text": "close"}], expect=0)["close"][0] in (1000, 1005)


def test_node_ws_sees_1012_when_its_backend_drops_the_connection(gateway, node):
    assert node_client(gateway(node.url).url, send=[{"text": "terminate"}], expect=0)["close"][0] == 1012


def test_node_ws_sees_a_refusal_with_its_body(gateway, inbox):
    assert node_client(gateway(inbox.url).url + "/ws/inbox/?token=no")["refused"] == 403


def test_node_ws_answers_the_heartbeats_and_stays(gateway, backend):
    def script(served):
        served.upgrade()
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            try:
                f = served.read_frame(max(end - time.monotonic(), 0.01))
            except AssertionError:
                break
            if f.opcode == raw.PING:
                served.send_frame(raw.PONG, f.payload)
        served.send_close(1000, "enough")
        served.read_end()
    b = backend(script)
    g = gateway(b.url, flags=["--heartbeat-interval", "100ms", "--heartbeat-timeout", "400ms"])
    result = node_client(g.url, expect=0)
    assert result["close"] == [1000, "enough"] and result["pings"] >= 5, result


# ---- wscat

def test_wscat_speaks_through_the_gateway(gateway, app):
    g = gateway(app.url)
    keyboard, hand = os.pipe()  # wscat leaves when its standard input ends, so it is held open
    try:
        done = subprocess.run([servers.node_ready() / "node_modules" / ".bin" / "wscat", "-c", g.url + "/ws",
                               "-s", "v1.echo", "-x", "hello from wscat", "-w", "1"], stdin=keyboard,
                              capture_output=True, text=True, timeout=30)
    finally:
        os.close(keyboard)
        os.close(hand)
    assert "hello from wscat" in done.stdout, done
    assert g.ending()["who"] == "client"


# ---- Chromium

@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page over HTTP, so that the sockets have an Origin: (its URL, its origin)."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<!doctype html><title>holdfast</title>")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    origin = f"http://127.0.0.1:{server.server_address[1]}"
    yield origin + "/", origin
    server.shutdown()


def chromium(page_url, jobs):
    done = subprocess.run(["node", servers.node_ready() / "browser.js", page_url], input=json.dumps(jobs),
                          capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_chromium_talks_to_both_echoes_and_is_held_to_its_origin(gateway, echo, node, chat, page):
    url, origin = page
    g = gateway(config={"routes": [
        {"path": "/echo", "upstream": echo.url, "origins": [origin]},
        {"path": "/node", "upstream": node.url},
        {"path": "/elsewhere", "upstream": node.url, "origins": ["https://app.example.com"]},
        {"path": "/ws/chat", "upstream": chat.url}],
        "heartbeat": {"interval": "200ms", "timeout": "2s"}})
    jobs = [{"url": g.url + "/echo", "protocols": ["v2.echo", "v1.echo"], "send": items(), "expect": len(items()),
             "close": [4001, "from the page"]},
            {"url": g.url + "/node", "send": items(), "expect": len(items()), "close": [1000, ""]},
            {"url": g.url + "/node", "send": [{"text": "close 4200 from the app"}], "expect": 0},
            {"url": g.url + "/elsewhere", "send": [], "expect": 0},
            {"url": g.url + "/ws/chat?token=story-b-token-0123456789", "send": [{"text": '{"ask":200}'}], "expect": 201,
             "close": [1000, "thanks"]}]
    one, two, closed, refused, chatted = chromium(url, jobs)
    assert one["received"] == items() and one["protocol"] == "v2.echo" and one["close"] == [4001, "from the page"]
    assert "permessage-deflate" in one["extensions"] and one["clean"]
    assert two["received"] == items() and two["close"] == [1000, ""]
    assert closed["close"] == [4200, "from the app"]
    assert refused["close"][0] == 1006 and refused["received"] == []
    assert len(chatted["received"]) == 201 and json.loads(chatted["received"][-1]["text"]) == {"done": 200}
    codes = sorted(e["code"] for e in g.wait_endings(5) if e["code"] in (4001, 1000, 4200))
    assert codes == [1000, 1000, 4001, 4200]


def test_node_ws_trusts_the_gateways_certificate_and_talks_over_tls(gateway, node, authority):
    cert, key = authority.leaf("app.test", "127.0.0.1", label="clients")
    g = gateway(node.url, flags=["--tls-cert", str(cert), "--tls-key", str(key)], scheme="wss")
    result = node_client(g.url, send=[{"text": "secret"}], expect=1, close=[1000, ""], ca=str(authority.cert))
    assert result["received"] == [{"text": "secret"}], result
