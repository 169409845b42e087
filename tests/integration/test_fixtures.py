# SPDX-License-Identifier: Apache-2.0
"""The ground the other tests stand on, with no gateway in between: what fails here is not the gateway's fault."""
import asyncio
import json

import websockets

from conftest import CHAT_TOKEN, INBOX_SECRET
from harness import raw
from harness.tokens import jwt


def test_the_inbox_answers_the_json_ping_of_a_client_with_a_token(inbox):
    async def talk():
        token = jwt.encode({"sub": "alice"}, INBOX_SECRET, algorithm="HS256")
        async with websockets.connect(f"{inbox.ws}/ws/inbox/?token={token}") as socket:
            assert json.loads(await socket.recv())["user"] == "alice"
            await socket.send('{"type":"ping"}')
            assert json.loads(await socket.recv()) == {"type": "pong"}
    asyncio.run(talk())


def test_the_inbox_refuses_a_wrong_token_with_403(inbox):
    client = raw.Client(inbox.address)
    assert client.ask("/ws/inbox/?token=wrong").status == 403


def test_the_chat_streams_what_it_is_asked_for(chat):
    async def talk():
        async with websockets.connect(f"{chat.ws}/ws/chat?token={CHAT_TOKEN}") as socket:
            await socket.send('{"ask":50}')
            assert [json.loads(await socket.recv())["i"] for _ in range(50)] == list(range(50))
            assert json.loads(await socket.recv()) == {"done": 50}
    asyncio.run(talk())


def test_the_echoes_speak_permessage_deflate_and_choose_a_subprotocol(echo, node):
    async def talk(url):
        async with websockets.connect(url, subprotocols=["v2.echo", "v1.echo"]) as socket:
            assert socket.subprotocol == "v2.echo"
            assert [e.name for e in socket.extensions] == ["permessage-deflate"]
            await socket.send("a" * 1000)
            assert await socket.recv() == "a" * 1000
    for server in (echo, node):
        asyncio.run(talk(server.ws + "/"))


def test_the_raw_client_and_the_raw_backend_understand_each_other(backend):
    server = backend(raw.echo)
    client = raw.Client(server.address).open("/x")
    for n in (0, 125, 126, 65535, 65536):
        client.send_frame(raw.BINARY, b"x" * n)
        assert client.read_frame().payload == b"x" * n
    client.send_close(4001, "bye")
    client.expect_close(4001, "bye")
