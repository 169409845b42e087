# SPDX-License-Identifier: Apache-2.0
"""hf1 on the wire: docs/protocol.md sections 2 to 7, said by a client that is written from the text alone, against a backend that the test
drives by hand. The sections stand at the tests."""
import os
import time

import pytest

from harness import raw
from harness.wire import Wire, secret
from harness.process import wait_for
from harness.raw import BINARY, TEXT


@pytest.fixture
def open_session(relay, scene):
    """open_session(…) -> (gateway, backend, wire, served): a fresh gateway with one session."""
    def start(path="/", offer=None, config=None, protocols=(), answer=(), headers=()):
        g, b = relay(config)
        wire, served = enter(scene, g, b, path, offer or secret(), protocols, answer, headers)
        return g, b, wire, served
    return start


def enter(scene, g, b, path="/", offer=None, protocols=(), answer=(), headers=()):
    wire = connect(scene, g, path, offer, protocols, headers)
    served = b.next()
    served.upgrade(answer)
    wire.greeted()
    wire.say("ack", n=0)
    return wire, served


def connect(scene, g, path="/", offer=None, protocols=(), headers=()):
    wire = Wire(g.address)
    scene.callback(wire.close)
    return wire.begin(path, offer, protocols, headers)


def resume(scene, g, old, received, attempt, **how):
    """A connection that resumes the session of `old`, past its hello, acknowledged."""
    wire = connect(scene, g, offer=old.resume_offer(received, attempt, **how)).greeted()
    wire.say("ack", n=received)
    return wire


def texts(served, *expected):
    for text in expected:
        served.expect_text(text)


# ---- 3: opening

def test_the_first_message_is_a_hello_that_says_all_it_must(open_session):
    _, _, wire, _ = open_session(protocols=["v2.app", "v1.app"], answer=[("Sec-WebSocket-Protocol", "v1.app")])
    hello = wire.hello
    assert {"session", "token", "key", "epoch", "window", "buffer", "message_max", "beat", "ack", "received", "sent", "resumed"} <= set(hello)
    assert (hello["received"], hello["sent"], hello["resumed"], hello["protocol"]) == (0, 0, 0, "v1.app")
    assert len(hello["token"]) == 48 and len(hello["key"]) == 43
    assert 0 < hello["ack"] <= hello["buffer"] and hello["window"] > 0 and hello["beat"] > 0


def test_the_backend_sees_the_clients_own_handshake_without_a_word_of_hf1(open_session):
    _, _, _, served = open_session("/ws/x?y=1", protocols=["v2.app", "v1.app"], headers=[("X-Mine", "7"), ("Cookie", "a=b")])
    head = served.head
    assert head.target == "/ws/x?y=1" and head.get("x-mine") == "7" and head.get("cookie") == "a=b"
    assert [p.strip() for p in ",".join(head.all("sec-websocket-protocol")).split(",")] == ["v2.app", "v1.app"]
    assert "hf1" not in repr(head).lower() and head.get("sec-websocket-extensions") is None


def test_a_backend_is_offered_no_subprotocol_at_all_when_hf1_was_the_only_one(open_session):
    _, _, wire, served = open_session()
    assert served.head.all("sec-websocket-protocol") == [] and "protocol" not in wire.hello


def test_messages_go_both_ways_byte_for_byte_with_the_escape_only_on_hf1s_side(open_session):
    _, _, wire, served = open_session()
    payloads = ["hello", "", "\x01", "\x01\x01two", "é" * 8000, b"", b"\x01binary is never escaped", os.urandom(20000)]
    assert wire.hello["buffer"] >= 60000
    for payload in payloads:
        wire.post(payload)
        f = served.read_data()
        assert (f.opcode, f.payload) == ((TEXT, payload.encode()) if isinstance(payload, str) else (BINARY, payload))
        assert f.mask is not None
        served.send_frame(f.opcode, f.payload)
        assert wire.message() == f.payload
    wire.say("ack", n=len(payloads))


def test_one_message_may_be_larger_than_the_credit_in_both_directions(open_session):
    _, _, wire, served = open_session()
    large = os.urandom(wire.hello["buffer"] * 3)
    for n in (1, 2):
        wire.post(large)
        assert served.read_data().payload == large
        served.send_frame(BINARY, large)
        while (came := wire.read())[0] == "control":
            assert came[1] in ("ack", "coming"), came
        assert came[2] == large
        wire.say("ack", n=n).acked(n)


def test_fragments_of_either_side_arrive_as_one_message(open_session):
    _, _, wire, served = open_session()
    wire.send_frame(TEXT, "one ", fin=False)
    wire.send_frame(raw.PING, b"between")
    wire.send_frame(raw.CONT, "two")
    served.expect_text("one two")
    served.send_frame(TEXT, "three ", fin=False)
    served.send_frame(raw.PING, b"between")
    served.send_frame(raw.CONT, "four")
    assert wire.message() == b"three four"


def test_a_second_opening_with_the_same_secret_joins_the_session_from_its_first_message(relay, scene):
    g, b = relay()
    offer = secret()
    first = connect(scene, g, offer=offer)
    served = b.next()
    served.upgrade()
    served.send_text("early")
    first.greeted()
    first.reset()  # it never said a control message: for all it knows its hello was lost
    again = connect(scene, g, offer=offer).greeted()
    assert (again.hello["resumed"], again.hello["received"], again.hello["session"]) == (1, 0, first.hello["session"])
    assert again.message() == b"early"
    assert b.accepted == 1


def test_an_opening_whose_client_goes_away_during_the_backends_handshake_is_joined_by_the_next(relay, scene):
    g, b = relay()
    offer = secret()
    first = connect(scene, g, offer=offer)
    served = b.next()
    first.reset()
    again = connect(scene, g, offer=offer)
    served.upgrade()
    again.greeted()
    assert again.hello["received"] == 0
    again.say("ack", n=0).post("only once")
    served.expect_text("only once")
    assert b.accepted == 1


def test_after_a_control_message_an_opening_with_the_same_secret_is_a_session_of_its_own(relay, scene):
    g, b = relay()
    offer = secret()
    first, _ = enter(scene, g, b, offer=offer)
    first.post("heard").acked(1)
    second, _ = enter(scene, g, b, offer=offer)
    assert second.hello["session"] != first.hello["session"] and b.accepted == 2


@pytest.mark.parametrize("status, reason", [(403, "auth"), (401, "auth"), (404, "not_found"), (503, "unavailable")])
def test_a_refusal_of_the_backend_is_told_inside(relay, scene, status, reason):
    g, b = relay()
    wire = connect(scene, g, offer=secret())
    b.next().answer(status, b"no")
    wire.switched()
    end = wire.expect("end", who="backend", http=status)
    assert end["reason"] in (reason, "refused"), end
    assert wire.read()[0] == "close"


def test_a_refusal_of_the_gateway_is_told_inside(relay, scene):
    g, _ = relay({"origins": ["https://app.example"]})
    wire = connect(scene, g, offer=secret(), headers=[("Origin", "https://evil.example")]).switched()
    assert wire.expect("end", who="gateway", reason="origin")["http"] == 403
    assert wire.read()[0] == "close"


def test_a_plain_client_never_gets_a_control_message_and_keeps_its_subprotocol(relay):
    g, b = relay()
    client, served = g.pair(b, headers=[("Sec-WebSocket-Protocol", "v1.app")], answer=[("Sec-WebSocket-Protocol", "v1.app")])
    assert client.head.get("sec-websocket-protocol") == "v1.app"
    served.send_text("\x01 not escaped")
    client.expect_text("\x01 not escaped")


# ---- 4: resuming

def test_a_session_resumes_with_exactly_what_was_missed_in_both_directions(open_session, scene):
    g, b, wire, served = open_session()
    wire.post("c1", "c2").acked(2)
    texts(served, "c1", "c2")
    for text in ("s1", "s2", "s3"):
        served.send_text(text)
    wire.expect_messages("s1", "s2", "s3")
    wire.reset()
    served.send_text("s4")  # while nobody is there
    again = connect(scene, g, offer=wire.resume_offer(2, 1)).greeted()  # s3 was on its way when the connection died
    hello = again.hello
    assert (hello["resumed"], hello["received"], hello["session"], hello["key"], hello["epoch"]) == (
        1, 2, wire.hello["session"], wire.hello["key"], wire.hello["epoch"])
    assert hello["token"] != wire.hello["token"] and hello["sent"] in (3, 4)
    again.say("ack", n=2)
    again.expect_messages("s3", "s4")
    again.expect("live", sent=4)
    again.post("c3")
    served.expect_text("c3")
    assert b.accepted == 1


def test_live_comes_without_any_replay_too(open_session, scene):
    g, _, wire, _ = open_session()
    wire.reset()
    resume(scene, g, wire, 0, 1).expect("live", sent=0)


def test_many_resumes_in_a_row_lose_nothing(open_session, scene):
    g, b, wire, served = open_session()
    expected = []
    for attempt in range(1, 21):
        for direction in "ab":
            served.send_text(f"s{attempt}{direction}")
            expected.append(f"s{attempt}{direction}")
        wire.post(f"c{attempt}")
        served.expect_text(f"c{attempt}")
        wire.reset()
        wire = connect(scene, g, offer=wire.resume_offer(attempt - 1, attempt)).greeted()
        assert wire.hello["received"] == attempt
        wire.say("ack", n=attempt - 1)
        wire.expect_messages(expected[attempt - 1])  # and no more of what is replayed
    wire.expect_messages(*expected[20:])
    wire.expect("live", sent=40)
    assert b.accepted == 1


def test_a_message_during_which_ten_connections_in_a_row_are_lost_is_poison(open_session, scene):
    g, b, wire, served = open_session()
    served.send_text("deadly")
    wire.expect_messages("deadly")
    for attempt in range(1, 10):
        wire.reset()
        wire = connect(scene, g, offer=wire.resume_offer(0, attempt)).greeted()
        assert wire.hello["resumed"] == 1
        wire.say("ack", n=0)
        wire.expect_messages("deadly")
    wire.reset()
    last = connect(scene, g, offer=wire.resume_offer(0, 10))
    b.next().upgrade()
    last.greeted()
    assert (last.hello["resumed"], last.hello["reason"]) == (0, "poison")


def test_a_resume_takes_over_from_a_connection_that_still_stands(open_session, scene):
    g, b, wire, served = open_session()
    again = resume(scene, g, wire, 0, 1)
    wire.expect("end", who="gateway", reason="superseded")
    assert wire.read()[0] == "close"
    again.expect("live")
    again.post("new")
    served.expect_text("new")
    assert b.accepted == 1


def test_what_the_old_connection_sends_after_a_takeover_is_ignored(open_session, scene):
    g, _, wire, served = open_session()
    again = resume(scene, g, wire, 0, 1)
    try:
        wire.post("old")
    except OSError:
        pass
    again.post("new")
    served.expect_text("new")
    assert again.hello["received"] == 0


def test_an_attempt_that_is_not_above_all_others_is_stale_and_the_session_is_untouched(open_session, scene):
    g, b, wire, served = open_session()
    again = resume(scene, g, wire, 0, 5)
    again.expect("live")
    late = connect(scene, g, offer=again.resume_offer(0, 5)).switched()
    late.expect("end", who="gateway", reason="stale")
    assert late.read()[0] == "close"
    again.post("still mine")
    served.expect_text("still mine")
    assert b.accepted == 1


def test_a_token_is_good_until_the_next_ones_first_control_message_and_stale_from_then_on(open_session, scene):
    g, _, wire, _ = open_session()
    wire.reset()
    lost = connect(scene, g, offer=wire.resume_offer(0, 1)).greeted()  # its hello is never answered
    lost.reset()
    again = connect(scene, g, offer=wire.resume_offer(0, 2)).greeted()  # so the old token still holds
    assert again.hello["resumed"] == 1
    again.say("ack", n=0).post("x")
    again.expect("live")
    again.acked(1)
    late = connect(scene, g, offer=wire.resume_offer(0, 3)).switched()
    late.expect("end", reason="stale")
    assert late.read()[0] == "close"


def test_a_token_nobody_gave_brings_a_new_session_that_says_unknown(open_session, scene):
    g, b, wire, _ = open_session()
    forged = wire.hello["token"][:-16] + "A" * 16
    stranger = connect(scene, g, offer=f"hf1.r.{forged}.{wire.hello['epoch']}.0.1")
    b.next().upgrade()
    stranger.greeted()
    assert (stranger.hello["resumed"], stranger.hello["reason"], stranger.hello["received"]) == (0, "unknown", 0)
    assert stranger.hello["session"] != wire.hello["session"] and b.accepted == 2
    wire.post("untouched").acked(1)


def test_another_epoch_brings_a_new_session_that_says_epoch(open_session, scene):
    g, b, wire, _ = open_session()
    wire.reset()
    other = connect(scene, g, offer=wire.resume_offer(0, 1, epoch=wire.hello["epoch"] + 1))
    b.next().upgrade()
    other.greeted()
    assert (other.hello["resumed"], other.hello["reason"]) == (0, "epoch")


def test_what_was_counted_is_not_to_be_sent_again_whatever_the_backend_did_with_it(open_session, scene):
    g, _, wire, served = open_session()
    for i in range(50):
        wire.post(f"m{i}")
    wire.acked(50)
    wire.reset()
    again = resume(scene, g, wire, 0, 1)
    assert again.hello["received"] == 50
    texts(served, *(f"m{i}" for i in range(50)))
    again.post("m50")
    served.expect_text("m50")


# ---- 5: counting, credit, acknowledging

def test_an_ack_comes_within_a_second_of_a_message_and_at_every_beat(open_session):
    _, _, wire, _ = open_session()
    begun = time.monotonic()
    wire.post("one").acked(1)
    assert time.monotonic() - begun < 2
    if wire.hello["beat"] <= 8000:
        assert wire.control(2 * wire.hello["beat"] / 1000) == ("ack", {"n": 1})


def test_an_ack_is_due_at_its_cost(open_session):
    _, _, wire, served = open_session()
    size = wire.hello["ack"] // 4
    begun = time.monotonic()
    for _ in range(4):
        wire.post(b"x" * size)
    verb, keys = wire.control()
    assert verb == "ack" and keys["n"] >= 1 and time.monotonic() - begun < 0.8
    for _ in range(4):
        assert len(served.read_data().payload) == size


def test_the_gateway_stops_at_the_credit_until_the_client_acknowledges(open_session):
    _, _, wire, served = open_session()
    size, buffer = 1000, wire.hello["buffer"]
    count = 2 * buffer // size
    served.sock.setblocking(False)
    frames, sent = b"".join(served.frame(BINARY, i.to_bytes(4, "big") + b"z" * (size - 4)) for i in range(count)), 0
    came = cost = 0
    import select
    while select.select([], [served.sock], [], 0.3)[1] and sent < len(frames):
        sent += served.sock.send(frames[sent:sent + 65536])
    try:
        while True:
            payload = wire.message(0.5)
            assert payload[:4] == came.to_bytes(4, "big")
            came, cost = came + 1, cost + len(payload) + 16
    except raw.Timeout:
        pass
    assert buffer - 2 * (size + 16) <= cost <= buffer, (cost, buffer)
    wire.say("ack", n=came)
    assert wire.message()[:4] == came.to_bytes(4, "big")


@pytest.mark.parametrize("what", ["\x01", "\x01ack", "\x01ack n=x", "\x01ack n=1 n=1", "\x01ack n=5", "\x01bye code=%zz", "\x01ack n=-1",
                                  "\x01nonsense x=" + "y" * 1100])
def test_a_broken_rule_is_answered_with_end_protocol_and_1002(open_session, what):
    g, _, wire, served = open_session()
    wire.send_frame(TEXT, what)
    wire.expect("end", reason="protocol")
    wire.closing(1002)


@pytest.mark.parametrize("what", ["\x01later key=1 other=%20", "\x01ack n=0 more=1"])
def test_words_that_are_not_known_yet_are_ignored(open_session, what):
    _, _, wire, served = open_session()
    wire.send_frame(TEXT, what)
    wire.post("goes on")
    served.expect_text("goes on")


def test_a_message_above_message_max_ends_the_session_with_too_big_and_1009(open_session):
    _, _, wire, _ = open_session(config={"message_max": "1KiB"})
    assert wire.hello["message_max"] == 1024
    wire.post(b"x" * 1024).acked(1)
    try:
        wire.post(b"x" * 1025)
    except OSError:
        pass
    wire.expect("end", reason="too_big")
    assert wire.read()[:2] == ("close", 1009)


# ---- 6 and 7: the backend, and endings

def test_the_backends_close_comes_behind_all_its_messages_without_an_end(open_session):
    _, _, wire, served = open_session()
    served.send(b"".join(served.frame(TEXT, f"last {i}") for i in range(10)) + served.frame(raw.CLOSE, raw.close_payload(4321, "čau")))
    wire.expect_messages(*(f"last {i}" for i in range(10)))
    wire.closing(4321, "čau")
    assert served.read_data().code == 4321


def test_the_backends_close_and_what_stood_before_it_is_delivered_to_a_session_that_was_parked(open_session, scene):
    g, _, wire, served = open_session()
    wire.reset()
    wait_for(lambda: not [s for s in g.sessions() if s.get("state") == "attached"], "it is parked")
    served.send(served.frame(TEXT, "one") + served.frame(TEXT, "two") + served.frame(raw.CLOSE, raw.close_payload(4000, "bye")))
    again = resume(scene, g, wire, 0, 1)
    again.expect_messages("one", "two")
    again.expect("live", sent=2)
    again.say("ack", n=2)
    again.closing(4000, "bye")


def test_bye_brings_its_code_and_reason_to_the_backend_behind_every_message(open_session):
    g, _, wire, served = open_session()
    wire.post("a", "b").say("bye", code=4002, reason="so long, čau")
    wire.send_close(4002)
    texts(served, "a", "b")
    f = served.expect_close(4002, "so long, čau")
    served.send_frame(raw.CLOSE, f.payload)
    while (came := wire.read())[0] != "close":
        assert came[:2] == ("control", "ack"), came
    assert came[1] == 4002


@pytest.mark.parametrize("code", [None, 1001, 4499])
def test_a_close_that_means_a_change_of_connections_parks_the_session(open_session, scene, code):
    g, b, wire, served = open_session()
    wire.send_close(code)
    while wire.read()[0] != "close":
        pass
    again = resume(scene, g, wire, 0, 1)
    assert again.hello["resumed"] == 1
    again.expect("live")
    again.post("on")
    served.expect_text("on")
    assert b.accepted == 1


@pytest.mark.parametrize("code", [1000, 3000, 4000])
def test_a_close_without_bye_that_means_an_end_ends_the_session_with_that_code(open_session, code):
    _, _, wire, served = open_session()
    wire.send_close(code)
    served.expect_close(code)


def test_a_backend_that_is_lost_without_a_close_is_told_and_closed_with_1012(open_session):
    _, _, wire, served = open_session()
    served.send_text("last words")
    wire.expect_messages("last words")
    served.reset()
    wire.expect("end", who="backend", reason="backend_lost")
    assert wire.read()[:2] == ("close", 1012)


def test_under_hold_a_lost_backend_is_replaced_and_the_client_is_told_what_is_uncertain(open_session, scene):
    _, b, wire, served = open_session(config={"on_backend_loss": "hold"})
    wire.post("a", "b").acked(2)
    texts(served, "a", "b")
    served.send_text("from the first")
    wire.expect_messages("from the first")
    served.reset()
    wire.post("c")
    second = b.next()
    second.upgrade()
    rebound = wire.expect("rebound")
    assert rebound["from"] <= rebound["to"] <= 3, rebound
    if rebound["to"] < 3:  # c was not written to the first backend: the second one gets it
        second.expect_text("c")
    wire.post("d")
    second.expect_text("d")
    second.send_text("from the second")
    assert wire.message() == b"from the second"


def test_a_backends_close_that_was_lost_on_its_way_is_delivered_again(open_session, scene):
    g, b, wire, served = open_session()
    served.send(served.frame(TEXT, "last") + served.frame(raw.CLOSE, raw.close_payload(4010, "over")))
    wire.expect_messages("last")
    wire.say("ack", n=1)
    while (came := wire.read())[0] != "close":
        assert came[:2] == ("control", "ack"), came
    wire.reset()  # for all the gateway knows, the Close never arrived
    again = resume(scene, g, wire, 1, 1)
    assert again.hello["resumed"] == 1, again.hello
    again.expect("live", sent=1)
    again.closing(4010, "over")
    assert b.accepted == 1


def test_a_session_that_its_own_goodbye_ended_gets_no_successor(open_session, scene):
    g, b, wire, served = open_session()
    wire.post("one").say("bye", code=4002, reason="done")
    served.expect_text("one")
    served.send_frame(raw.CLOSE, served.expect_close(4002).payload)
    wire.reset()  # for all the client knows, the goodbye was lost
    late = connect(scene, g, offer=wire.resume_offer(0, 1)).greeted()
    assert (late.hello["resumed"], late.hello["reason"], late.hello["old_received"]) == (0, "closed", 1)
    late.expect("end", who="client", reason="closed")
    assert late.read()[0] == "close"
    assert b.accepted == 1


def test_under_hold_a_busy_backend_is_asked_within_a_second_what_it_has_read(open_session):
    _, b, wire, served = open_session(config={"on_backend_loss": "hold"})
    begun, n = time.monotonic(), 0
    while time.monotonic() < begun + 8:  # never quiet enough for a heartbeat; a read message counts after 5 s
        n += 1
        wire.post(f"m{n}")
        served.send_text(f"s{n}")
        served.expect_text(f"m{n}")  # answers pings on the way
        wire.expect_messages(f"s{n}")
        wire.say("ack", n=n)
        time.sleep(0.1)
    served.reset()
    b.next().upgrade()
    rebound = wire.expect("rebound")
    assert 5 <= rebound["from"] < n == rebound["to"], (rebound, n)
