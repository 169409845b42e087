# SPDX-License-Identifier: Apache-2.0
"""The two stories again, with libholdfast (through its shared library) on a path whose connections do not last."""
import json
import time

import pytest

from conftest import CHAT_TOKEN, INBOX_SECRET
from harness.drops import Box
from harness.library import Client
from harness.tokens import jwt

PING, PONG = '{"type":"ping"}', '{"type":"pong"}'


@pytest.fixture
def held(tmp_path, scene):
    """held(gateway, path) -> (client, box): a client of the library whose way leads through a box that cuts on demand."""
    def start(gateway, path, **how):
        box = Box(tmp_path, gateway.port, "--max-age", 0)
        scene.callback(box.stop)
        client = Client(f"ws://127.0.0.1:{box.port}{path}", **how)
        scene.callback(client.free)
        return client, box
    return start


def untroubled(client, resumes):
    kinds = client.kinds()
    assert (kinds["open"], kinds["lost"], kinds["close"], kinds["resumed"]) == (1, 0, 0, resumes), client.history[-8:]


# ---- A: the inbox

def test_story_a_an_inbox_that_is_cut_again_and_again_gets_each_message_once_and_each_ping_answered(tmp_path, gateway, inbox, held):
    secret = tmp_path / "secret"
    secret.write_text(INBOX_SECRET)
    g = gateway(config={"routes": [{"path": "/ws/inbox/", "upstream": inbox.url, "auth": "jwt",
                                    "jwt": {"keys": [{"alg": "HS256", "file": str(secret)}]},
                                    "app_heartbeat": {"match": PING, "answer": PONG}}]})
    token = jwt.encode({"sub": "alice", "exp": int(time.time() + 600)}, INBOX_SECRET, algorithm="HS256")
    g.secrets.append(token)
    client, box = held(g, f"/ws/inbox/?token={token}")
    client.next("open")
    assert json.loads(client.next("message")["data"])["user"] == "alice"
    said, pings = [], 0
    for round in range(5):
        for i in range(20):
            said.append(f"{round}.{i}")
            assert client.send(json.dumps({"type": "say", "text": said[-1]})) in ("sent", "queued")
            if i % 5 == 0:
                client.send(PING)
                pings += 1
            if i == 10:
                box.ask("cut")  # with messages under way in both directions
        client.next("resumed")
    texts, pongs = [], 0
    while len(texts) < len(said) or pongs < pings:
        # Messages that came before a `resumed` were taken out with it.
        taken = [fields["data"] for kind, fields in client.history if kind == "message"]
        texts = [json.loads(t)["text"] for t in taken if '"message"' in t]
        pongs = sum(json.loads(t) == {"type": "pong"} for t in taken)
        if len(texts) < len(said) or pongs < pings:
            client.next("message")
    assert texts == said and pongs == pings
    untroubled(client, 5)
    client.close()
    client.next("close")


# ---- B: the streamed answer

def test_story_b_an_answer_of_a_thousand_chunks_that_is_cut_ten_times_arrives_whole(gateway, chat, held):
    client, box = held(gateway(chat.url), f"/ws/chat?token={CHAT_TOKEN}")
    client.next("open")
    client.send(json.dumps({"ask": 1000, "every_ms": 3}))
    chunks, cuts, standing = [], 0, True
    while True:
        kind, fields = client.any(20)
        if kind == "resumed":
            standing = True
        elif kind == "message":
            message = json.loads(fields["data"])
            if "done" in message:
                break
            chunks.append(message)
            if standing and cuts < 10 and len(chunks) >= 80 * (cuts + 1):
                assert box.ask("cut")["open"] == 0
                cuts, standing = cuts + 1, False
    assert message == {"done": 1000} and chunks == [{"i": i, "chunk": f"word {i} "} for i in range(1000)]
    assert cuts == 10
    untroubled(client, 10)
    client.close()
    assert client.next("close")["record"]["code"] == 1000


def test_story_b_the_code_and_the_reason_of_the_backend_arrive_behind_its_last_message_through_a_cut(gateway, chat, held):
    client, box = held(gateway(chat.url), f"/ws/chat?token={CHAT_TOKEN}")
    client.next("open")
    client.send(json.dumps({"ask": 50, "every_ms": 2}))
    client.send(json.dumps({"close": 4005, "reason": "enough said"}))
    client.next("message")
    box.ask("cut")
    record = client.next("close", 20)["record"]
    assert (record["code"], record["reason"]) == (4005, "enough said")
    messages = [json.loads(fields["data"]) for kind, fields in client.history if kind == "message"]
    assert messages[-1] == {"done": 50} and [m["i"] for m in messages[:-1]] == list(range(50))
