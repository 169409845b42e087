# SPDX-License-Identifier: Apache-2.0
"""The two stories the project exists for, each with its real, unmodified application, in small times."""
import asyncio
import json
import signal
import time

import pytest
import websockets

from conftest import CHAT_TOKEN, INBOX_SECRET
from harness import servers
from harness.process import wait_for
from harness.tokens import jwt


def inbox_token(sub="alice", lives=3600):
    return jwt.encode({"sub": sub, "exp": int(time.time() + lives)}, INBOX_SECRET, algorithm="HS256")


async def inbox_client(url, seconds, every):
    """Story A's client: pings as JSON, and counts the answers."""
    async with websockets.connect(url, ping_interval=None) as socket:
        welcome = json.loads(await socket.recv())
        assert welcome["type"] == "welcome"
        pongs, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            await socket.send('{"type":"ping"}')
            assert json.loads(await asyncio.wait_for(socket.recv(), 5)) == {"type": "pong"}
            pongs += 1
            await asyncio.sleep(every)
        return welcome, pongs


# ---- A: the inbox

def test_story_a_the_inbox_is_held_and_every_json_ping_is_answered(gateway, inbox):
    g = gateway(inbox.url, flags=["--heartbeat-interval", "300ms"])
    token = inbox_token()
    welcome, pongs = asyncio.run(inbox_client(f"{g.url}/ws/inbox/?token={token}", 2, 0.2))
    assert welcome["user"] == "alice" and pongs >= 5
    assert g.ending()["code"] == 1000
    g.never_shown(token)


def test_story_a_an_inbox_that_says_nothing_is_held_by_heartbeats_on_both_legs(gateway, inbox):
    g = gateway(inbox.url, flags=["--heartbeat-interval", "200ms", "--heartbeat-timeout", "1s"])

    async def quiet():
        async with websockets.connect(f"{g.url}/ws/inbox/?token={inbox_token()}", ping_interval=None) as socket:
            await socket.recv()
            await asyncio.sleep(2)
            await socket.send('{"type":"say","text":"still here"}')
            assert json.loads(await socket.recv())["text"] == "still here"
    asyncio.run(quiet())
    assert g.ending()["rtt_ms"] is not None


def test_story_a_the_json_ping_can_be_answered_at_the_edge_so_that_the_app_never_sees_it(gateway, backend):
    b = backend()
    g = gateway(config={"upstream": b.url, "app_heartbeat": {"match": '{"type":"ping"}', "answer": '{"type":"pong"}'}})
    client, served = g.pair(b, "/ws/inbox/?token=x")
    for _ in range(3):
        client.send_text('{"type":"ping"}')
        client.expect_text('{"type":"pong"}')
    other = client.send_text('{"type":"ping","n":1}')
    assert served.take(len(other)) == other


def test_story_a_a_json_ping_that_is_passed_on_is_answered_by_the_app_and_only_once(gateway, inbox):
    g = gateway(config={"upstream": inbox.url, "app_heartbeat": {
        "match": '{"type":"ping"}', "answer": '{"type":"pong"}', "mode": "pass"}})
    _, pongs = asyncio.run(inbox_client(f"{g.url}/ws/inbox/?token={inbox_token()}", 0.5, 0.05))
    assert pongs >= 3


def test_story_a_the_gateway_checks_the_same_token_as_the_app(gateway, inbox, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text(INBOX_SECRET)
    g = gateway(config={"routes": [{"path": "/ws/inbox/", "upstream": inbox.url, "auth": "jwt", "jwt": {
        "keys": [{"alg": "HS256", "file": str(secret)}]}}]})
    token = inbox_token("bob")
    welcome, _ = asyncio.run(inbox_client(f"{g.url}/ws/inbox/?token={token}", 0.1, 0.05))
    assert welcome["user"] == "bob"
    line = g.wait_log("ws auth")[0]
    assert line["subject"] == "bob", line
    g.never_shown(token, INBOX_SECRET)


def test_story_a_a_refused_token_gets_the_apps_own_403(gateway, inbox):
    g = gateway(inbox.url)
    assert g.client().ask("/ws/inbox/?token=forged.forged.forged").status == 403
    g.wait_endings(1)
    g.never_shown("forged.forged.forged")


def test_story_a_two_clients_of_one_user_reach_each_other_through_the_gateway(gateway, inbox):
    g = gateway(inbox.url)

    async def talk():
        url = f"{g.url}/ws/inbox/?token={inbox_token('carol')}"
        async with websockets.connect(url) as one, websockets.connect(url) as two:
            await one.recv(), await two.recv()
            for i in range(20):
                await one.send(json.dumps({"type": "say", "text": f"message {i}"}))
            for socket in (one, two):
                assert [json.loads(await socket.recv())["text"] for _ in range(20)] == [f"message {i}" for i in range(20)]
    asyncio.run(talk())


# ---- B: the chat

async def ask(socket, n, every_ms=0):
    await socket.send(json.dumps({"ask": n, "every_ms": every_ms}))
    for i in range(n):
        assert json.loads(await asyncio.wait_for(socket.recv(), 10))["i"] == i
    assert json.loads(await socket.recv()) == {"done": n}


def test_story_b_streamed_chunks_never_count_against_a_limit_of_20_messages_a_minute(gateway, chat):
    g = gateway(config={"upstream": chat.url, "limits": {"messages_per_minute": 20, "excess_messages": "close"}})

    async def talk():
        async with websockets.connect(f"{g.url}/ws/chat?token={CHAT_TOKEN}", ping_interval=None) as socket:
            for _ in range(10):  # ten questions, four thousand chunks
                await ask(socket, 400)
    asyncio.run(talk())
    assert g.ending()["code"] == 1000
    g.never_shown(CHAT_TOKEN)


def test_story_b_the_limiter_of_the_old_kind_by_environment_never_counts_a_chunk(gateway, chat):
    g = gateway(chat.url, env={"WS_RATE_LIMIT_ENABLED": "true", "WS_MAX_MESSAGES_PER_MINUTE": "20"})

    async def talk():
        async with websockets.connect(f"{g.url}/ws/chat?token={CHAT_TOKEN}") as socket:
            await ask(socket, 3000)
    asyncio.run(talk())


def test_story_b_a_slow_answer_is_not_cut_by_silence_between_its_chunks(gateway, chat):
    g = gateway(chat.url, flags=["--heartbeat-interval", "100ms", "--heartbeat-timeout", "500ms"])

    async def talk():
        async with websockets.connect(f"{g.url}/ws/chat?token={CHAT_TOKEN}", ping_interval=None) as socket:
            await ask(socket, 4, every_ms=700)
    asyncio.run(talk())


def test_story_b_a_restarted_worker_is_told_as_1012_and_recorded_as_the_backends_doing(gateway, run_folder):
    app = servers.chat(run_folder, CHAT_TOKEN).wait()
    try:
        g = gateway(app.url)

        async def talk():
            async with websockets.connect(f"{g.url}/ws/chat?token={CHAT_TOKEN}", ping_interval=None) as socket:
                await ask(socket, 3)
                app.process.signal(signal.SIGKILL)
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await asyncio.wait_for(socket.recv(), 10)
                assert closed.value.rcvd.code == 1012
        asyncio.run(talk())
        ending = g.ending()
        assert ending["who"] == "backend" and ending["code"] == 1012, ending
    finally:
        app.stop()
    again = servers.chat(run_folder, CHAT_TOKEN, app.port).wait()
    try:
        async def back():
            async with websockets.connect(f"{g.url}/ws/chat?token={CHAT_TOKEN}") as socket:
                await ask(socket, 3)
        asyncio.run(back())
    finally:
        again.stop()


def test_story_b_a_phone_that_vanishes_is_noticed_by_the_heartbeat_and_named(gateway, backend):
    b = backend()
    g = gateway(b.url, flags=["--heartbeat-interval", "200ms", "--heartbeat-timeout", "300ms"])
    client, served = g.pair(b, "/ws/chat?token=x")
    started = time.monotonic()
    while True:  # the app answers its pings, the phone does not
        f = served.read_frame()
        if f.opcode != 9:
            break
        served.send_frame(10, f.payload)
    assert f.code == 1001, f
    assert time.monotonic() - started < 3
    ending = g.ending()
    assert (ending["cause"], ending["who"]) == ("client_heartbeat", "network"), ending
    assert ending["silent_rx_ms"] >= 300, ending
    wait_for(lambda: not g.sessions(), "the session is gone")
