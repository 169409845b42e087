# SPDX-License-Identifier: Apache-2.0
"""Backends that are lost and come back while plain clients are held: real servers that are killed and restarted, and backends by hand."""
import asyncio
import contextlib
import re
import signal
import sys
from pathlib import Path

import pytest
import websockets

from conftest import INBOX_SECRET
from harness import raw, servers
from harness.process import wait_for
from harness.raw import CLOSE, PING, PONG, TEXT
from test_stories import inbox_token

sys.path.append(str(Path(__file__).parent / "backends"))
from numbered import message  # noqa: E402

HOLD = {"on_backend_loss": "hold"}
SUBSCRIBE = '{"type":"subscribe","room":7}'
PROLOGUE = {"on_backend_loss": "prologue", "prologue": {"match": ['{"type":"subscribe"'], "drop_replies": 1}}


class Numbers:
    """A server of numbered messages on one port, which is killed and started again."""

    def __init__(self, folder, kind):
        self.folder, self.kind, self.log = folder, kind, folder / "numbers.log"
        self.server = servers.numbers(folder, kind, log=self.log).wait()

    def kill(self):
        self.server.process.popen.kill()
        self.server.process.wait_exit()

    def start(self):
        self.server = servers.numbers(self.folder, self.kind, port=self.server.port, log=self.log).wait()

    def lines(self):
        """[(pid, what, which)], whole lines only."""
        text = self.log.read_text() if self.log.exists() else ""
        return [(int(words[1]), words[3], int(words[4]) if len(words) > 4 else None)
                for words in (line.split() for line in text.split("\n")[:-1])]

    def taken(self, pid=None):
        return [n for p, what, n in self.lines() if what == "take" and pid in (None, p)]


@pytest.fixture
def numbers(tmp_path, scene):
    def start(kind):
        n = Numbers(tmp_path, kind)
        scene.callback(lambda: n.server.stop())
        return n
    return start


async def until(condition, what):
    await asyncio.get_running_loop().run_in_executor(None, wait_for, condition, what, 20.0)


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_over_a_killed_and_restarted_server_a_plain_client_sees_no_close_and_its_waiting_messages_arrive_in_order(
        gateway, numbers, kind):
    backend = numbers(kind)
    g = gateway(backend.server.url, config=HOLD)

    async def talk():
        async with websockets.connect(f"{g.url}/ws/numbers/?session=one&every_ms=0", ping_interval=None) as socket:
            for n in range(1, 6):
                await socket.send(message(n))
            await until(lambda: backend.taken() == [1, 2, 3, 4, 5], "5 messages")
            backend.kill()
            await until(lambda: g.log_lines("hold begin"), "the hold")
            assert g.sessions()[0]["away"] is True
            for n in range(6, 206):
                await socket.send(message(n))
            await asyncio.wait_for(await socket.ping(), 5)  # answered while it waits
            backend.start()
            new = backend.server.process.pid
            await until(lambda: len(backend.taken(new)) == 200, lambda: f"200 messages, have {backend.taken(new)}")
            assert backend.taken(new) == list(range(6, 206))
            assert g.sessions()[0]["away"] is False
            await socket.send("end 205")
            assert await asyncio.wait_for(socket.recv(), 5) == "end 0"
    asyncio.run(talk())
    ending = g.ending()
    assert (ending["cause"], ending["code"]) == ("client_close", 1000)
    assert g.metric("holdfast_backend_holds_total") == g.metric("holdfast_backend_holds_replaced_total") == 1
    assert g.metric("holdfast_backend_hold_ms_total") > 0
    line = g.wait_log("hold end")[0]
    assert line["result"] == "replaced" and line["attempts"] >= 1, line


def test_a_server_that_is_told_to_stop_and_is_started_again_is_a_loss_like_any_other(gateway, numbers):
    backend = numbers("uvicorn")
    g = gateway(backend.server.url, config=HOLD)

    async def talk():
        async with websockets.connect(f"{g.url}/ws/numbers/?session=one&every_ms=0", ping_interval=None) as socket:
            await socket.send(message(1))
            await until(lambda: backend.taken() == [1], "a message")
            backend.server.process.signal(signal.SIGTERM)
            await until(lambda: g.log_lines("hold begin"), "the hold")
            backend.server.process.wait_exit()
            backend.start()
            await socket.send(message(2))
            await until(lambda: backend.taken() == [1, 2], lambda: backend.taken())
    asyncio.run(talk())
    assert g.wait_log("hold begin")[0]["cause"] in ("backend_close", "backend_fin")


def test_many_clients_are_held_over_one_restart(gateway, numbers):
    backend = numbers("uvicorn")
    g = gateway(backend.server.url, config=HOLD)

    async def talk():
        async with contextlib.AsyncExitStack() as stack:
            sockets = [await stack.enter_async_context(websockets.connect(
                f"{g.url}/ws/numbers/?session=s{i}&every_ms=0", ping_interval=None)) for i in range(50)]
            backend.kill()
            await until(lambda: len(g.log_lines("hold begin")) == 50, "50 holds")
            for socket in sockets:
                await socket.send(message(1))
            backend.start()
            await until(lambda: len(backend.taken()) == 50, lambda: backend.taken())
            for socket in sockets:
                await socket.send("end 1")
                assert await asyncio.wait_for(socket.recv(), 10) == "end 0"
    asyncio.run(talk())


def test_a_server_that_comes_back_and_answers_403_ends_the_client_with_1012(gateway, tmp_path, scene):
    server = servers.inbox(tmp_path, INBOX_SECRET).wait()
    scene.callback(lambda: server.stop())
    g = gateway(server.url, config=HOLD)

    async def talk():
        nonlocal server
        async with websockets.connect(f"{g.url}/ws/inbox/?token={inbox_token()}", ping_interval=None) as socket:
            await socket.recv()
            server.process.popen.kill()
            await until(lambda: g.log_lines("hold begin"), "the hold")
            server.process.wait_exit()
            server = servers.inbox(tmp_path, "another-secret-of-enough-length-9876543210", port=server.port)
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 30)
            assert socket.close_code == 1012
    asyncio.run(talk())
    ending = g.ending()
    assert (ending["cause"], ending["code"]) == ("backend_gone", 1012)
    assert "403" in ending["reason"]
    assert g.metric("holdfast_backend_holds_failed_total") == 1


# ---- by hand

def held(relay, config, path="/", **how):
    """(gateway, backend, client, served): joined through a gateway that holds."""
    g, b = relay(config)
    client, served = g.pair(b, path, **how)
    return g, b, client, served


def again(b, headers=()):
    """The next backend connection, past its handshake."""
    served = b.next()
    assert served.head.get("sec-websocket-key") != raw.KEY  # the client's own is used up
    return served.upgrade(headers)


def test_the_second_handshake_is_the_clients_own_but_for_its_key(relay):
    g, b, client, served = held(relay, {**HOLD, "trusted_proxies": ["127.0.0.1"]}, "/ws/room?a=%41&b", headers=[
        ("Cookie", "sid=1"), ("Authorization", "Bearer x"), ("Origin", "https://app.test"), ("X-Forwarded-For", "192.0.2.7")])

    def but_key(head):
        return re.sub(r"(?im)^sec-websocket-key: .*$", "", repr(head))
    first = but_key(served.head)
    assert "192.0.2.7" in first
    served.reset()
    assert but_key(again(b).head) == first


def test_no_extension_is_offered_to_a_backend_on_a_route_that_holds(relay):
    g, b = relay(HOLD)
    client = g.client()
    client.send(raw.request("/", headers=[("Sec-WebSocket-Extensions", "permessage-deflate")]))
    served = b.next()
    assert served.head.all("sec-websocket-extensions") == []
    served.upgrade()
    assert client.read_head().get("sec-websocket-extensions") is None


def test_of_a_clients_message_that_the_lost_backend_had_in_part_the_rest_goes_nowhere(relay):
    g, b, client, served = held(relay, HOLD)
    long = client.frame(TEXT, "x" * 1000)
    client.send(long[:600])
    served.need(600)
    served.reset()
    g.wait_log("hold begin")
    client.send(long[600:])
    client.send_text("next")
    new = again(b)
    new.expect_text("next")


def test_of_a_fragmented_message_too(relay):
    g, b, client, served = held(relay, HOLD)
    first = client.send_frame(TEXT, "one ", fin=False)
    served.need(len(first))
    served.reset()
    new = again(b)
    client.send_frame(0, "two ", fin=False)
    client.send_frame(PING, "p")
    client.send_frame(0, "three")
    client.send_text("next")
    new.expect_text("next")
    assert client.read_frame().opcode == PONG


def test_a_client_within_a_message_of_the_backend_gets_1012(relay):
    g, b, client, served = held(relay, HOLD)
    served.send_frame(TEXT, "one ", fin=False)
    assert client.read_frame().payload == b"one "
    served.reset()
    client.expect_close(1012)
    assert g.ending()["cause"] == "backend_reset"
    assert b.accepted == 1


def test_a_client_that_has_not_got_all_that_its_lost_backend_sent_gets_1012(relay):
    g, b = relay({**HOLD, "send_timeout": "30s"})
    client = g.client(receive_buffer=4096)
    client.send(raw.request("/"))
    served = b.next().upgrade()
    assert client.read_head().status == 101
    one = served.frame(TEXT, "y" * 1020)
    while not g.sessions()[0]["backend"]["held"]:
        served.send(one * 64)
    served.reset()
    assert g.ending(20)["cause"] == "backend_reset"
    assert b.accepted == 1


def test_a_backend_that_chooses_another_subprotocol_is_not_the_same_and_ends_it(relay):
    g, b, client, served = held(relay, HOLD, headers=[("Sec-WebSocket-Protocol", "chat, soap")],
                                answer=[("Sec-WebSocket-Protocol", "chat")])
    served.reset()
    again(b, [("Sec-WebSocket-Protocol", "chat")])
    client.send_text("a")
    wait_for(lambda: len(b.connections) == 2, "the second connection")
    b.connections[1].expect_text("a")
    b.connections[1].reset()
    again(b, [("Sec-WebSocket-Protocol", "soap")])
    client.expect_close(1012, "backend lost")
    ending = g.ending()
    assert ending["cause"] == "backend_gone" and "subprotocol" in ending["reason"], ending


@pytest.mark.parametrize("status", [500, 502, 503, 429])
def test_what_can_pass_does_not_end_a_hold(relay, status):
    g, b, client, served = held(relay, HOLD)
    served.reset()
    for _ in range(3):
        b.next().answer(status, b"later")
    again(b)
    client.send_text("a")
    b.connections[-1].expect_text("a")
    assert g.wait_log("hold end")[0]["attempts"] == 4


@pytest.mark.parametrize("status", [401, 403, 404, 301])
def test_a_refusal_for_good_ends_a_hold(relay, status):
    g, b, client, served = held(relay, HOLD)
    served.reset()
    b.next().answer(status, b"no")
    client.expect_close(1012, "backend lost")
    ending = g.ending()
    assert ending["cause"] == "backend_gone" and str(status) in ending["reason"], ending


def test_after_the_time_of_the_hold_the_client_gets_1012(relay):
    g, b, client, served = held(relay, {**HOLD, "hold": {"time": "500ms"}})
    b.stop()  # nobody listens any more, and its connections are closed
    client.expect_close(1012, "backend lost")
    ending = g.ending()
    assert ending["cause"] == "hold_expired" and "refused" in ending["reason"], ending


def test_a_prologue_is_sent_again_first_its_answer_is_dropped_and_then_the_queue_goes(relay):
    g, b, client, served = held(relay, PROLOGUE)
    for text in (SUBSCRIBE, "one", "two"):
        client.send_text(text)
        served.expect_text(text)
    served.send_text('{"subscribed":7}')
    client.expect_text('{"subscribed":7}')
    served.reset()
    g.wait_log("hold begin")
    client.send_text("three")
    new = again(b)
    new.expect_text(SUBSCRIBE)
    new.silent(0.2)  # the queue waits for the answer
    new.send_text('{"subscribed":7}')
    new.expect_text("three")
    new.send_text("news")
    client.expect_text("news")
    client.send_close(1000)
    assert new.read_data().opcode == CLOSE


def test_by_flag_and_by_variable_a_route_holds(gateway, backend):
    for how in ({"flags": ["--on-backend-loss", "hold"]}, {"env": {"HOLDFAST_ON_BACKEND_LOSS": "hold"}}):
        b = backend()
        g = gateway(b.url, **how)
        client, served = g.pair(b)
        served.reset()
        again(b).send_text("here")
        client.expect_text("here")


def test_by_default_a_lost_backend_closes_its_client_with_1012(relay):
    g, b, client, served = held(relay, {})
    served.reset()
    client.expect_close(1012, "backend lost")
    assert b.accepted == 1
