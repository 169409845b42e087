# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 4.1: the gateway as a client. What it asks the backend, and which answers it takes."""
import base64

import pytest

from harness.raw import KEY, TEXT, accept_for, frame

UPGRADE, CONNECTION = "Upgrade: websocket", "Connection: Upgrade"


def answered(stage, *lines, status="HTTP/1.1 101 Switching Protocols", accept=None, headers=(), behind=b"", pieces=0):
    """The backend answers with exactly these lines; returns (the head that the client gets, client, served)."""
    client, served = stage.knock(headers=headers)
    good = accept_for(served.head.get("sec-websocket-key"))
    text = "\r\n".join([status, *(line.format(accept=accept or good) for line in lines)]) + "\r\n\r\n"
    data = text.encode("latin-1") + behind
    if pieces:
        served.send_slowly(data, pieces)
    else:
        served.send(data)
    return client.read_head(), client, served


GOOD = (UPGRADE, CONNECTION, "Sec-WebSocket-Accept: {accept}")


# ---- what is asked

def test_4_1_the_request_is_a_valid_http_1_1_get_of_the_resource_name(stage):
    _, served = stage.knock()
    assert served.head.first.startswith("GET /raw?n=") and served.head.first.endswith(" HTTP/1.1")
    for line in served.head.raw.decode("latin-1").split("\r\n")[1:]:
        assert not line or (": " in line and line == line.strip() and "\n" not in line), line


def test_4_1_the_request_names_the_host_once(stage):
    _, served = stage.knock(host="chat.example.com:8443")
    assert served.head.all("host") == ["chat.example.com:8443"]


def test_4_1_the_request_holds_upgrade_and_connection_once_however_the_client_wrote_them(stage):
    _, served = stage.knock(drop=("upgrade", "connection"), headers=[
        ("uPGRADE", "WebSocket"), ("CONNECTION", "keep-alive, uPgRaDe"), ("Keep-Alive", "timeout=5")])
    assert [v.lower() for v in served.head.all("upgrade")] == ["websocket"]
    assert [v.lower() for v in served.head.all("connection")] == ["upgrade"]
    assert served.head.get("keep-alive") is None


def test_4_1_the_request_holds_one_key_of_16_bytes_in_base64(stage):
    _, served = stage.knock()
    keys = served.head.all("sec-websocket-key")
    assert len(keys) == 1 and len(keys[0]) == 24 and len(base64.b64decode(keys[0], validate=True)) == 16


def test_4_1_two_clients_keys_do_not_become_one(stage):
    one = base64.b64encode(b"0123456789abcdef").decode()
    two = base64.b64encode(b"fedcba9876543210").decode()
    keys = {stage.knock(key=key)[1].head.get("sec-websocket-key") for key in (one, two)}
    assert len(keys) == 2


def test_4_1_the_request_holds_version_13_once(stage):
    _, served = stage.knock()
    assert served.head.all("sec-websocket-version") == ["13"]


@pytest.mark.parametrize("origin", ["https://app.test", "null", "file://"])
def test_4_1_a_browsers_origin_goes_on_as_it_is(stage, origin):
    _, served = stage.knock(headers=[("Origin", origin)])
    assert served.head.all("origin") == [origin]


def test_4_1_no_origin_is_made_up_for_a_client_that_sends_none(stage):
    assert stage.knock()[1].head.get("origin") is None


def test_4_1_the_subprotocols_are_asked_for_in_the_order_of_preference(stage):
    _, served = stage.knock(headers=[("Sec-WebSocket-Protocol", "v3.chat, v1.chat"), ("Sec-WebSocket-Protocol", "v2.chat")])
    assert ", ".join(served.head.all("sec-websocket-protocol")).replace(", ", ",") == "v3.chat,v1.chat,v2.chat"


def test_4_1_no_subprotocol_and_no_extension_is_asked_for_that_the_client_did_not_ask_for(stage):
    _, served = stage.knock()
    assert served.head.get("sec-websocket-protocol") is None and served.head.get("sec-websocket-extensions") is None


def test_4_1_other_headers_such_as_cookies_and_authorization_go_on(stage):
    _, served = stage.knock(headers=[("Cookie", "a=1; b=2"), ("Authorization", "Bearer x"), ("X-Own", "yes")])
    assert served.head.get("cookie") == "a=1; b=2" and served.head.get("authorization") == "Bearer x"
    assert served.head.get("x-own") == "yes"


def test_4_1_nothing_is_sent_behind_the_request_before_the_answer(stage):
    client, served = stage.knock()
    served.silent(0.1)
    assert served.unread() == b""


# ---- which answers are taken

def test_4_1_the_right_answer_opens_the_connection(stage):
    head, client, served = answered(stage, *GOOD)
    assert head.status == 101
    served.send_text("x")
    client.expect_text("x")


@pytest.mark.parametrize("lines", [
    ("UPGRADE: WebSocket", "connection: upgrade", "sec-websocket-accept: {accept}"),
    ("Upgrade: WEBSOCKET", "Connection: keep-alive, Upgrade", "Sec-WebSocket-Accept: {accept}"),
    ("Upgrade:websocket", "Connection:Upgrade", "Sec-WebSocket-Accept:{accept}"),
    ("Upgrade:   websocket  ", "Connection:\tUpgrade", "Sec-WebSocket-Accept: \t {accept} \t "),
    ("Sec-WebSocket-Accept: {accept}", "X-Own: 1", CONNECTION, "Server: x", UPGRADE),
], ids=["case", "list", "no-space", "spaces", "order"])
def test_4_1_the_answer_is_compared_without_case_and_without_spaces_around(stage, lines):
    head, client, served = answered(stage, *lines)
    assert head.status == 101
    served.send_text("x")
    client.expect_text("x")


@pytest.mark.parametrize("pieces", [1, 7])
def test_4_1_an_answer_may_come_in_pieces_with_a_frame_behind_it(stage, pieces):
    behind = frame(TEXT, "at once")
    head, client, _ = answered(stage, *GOOD, behind=behind, pieces=pieces)
    assert head.status == 101
    client.expect_text("at once")


def test_4_1_frames_in_the_same_packet_as_the_answer_are_delivered(stage):
    behind = frame(TEXT, "one") + frame(TEXT, "two")
    head, client, _ = answered(stage, *GOOD, behind=behind)
    assert head.status == 101
    assert client.take(len(behind)) == behind


def test_4_1_an_interim_answer_is_not_the_answer(stage):
    client, served = stage.knock()
    served.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n")
    served.upgrade()
    head = client.read_head()
    if head.status == 103:
        head = client.read_head()
    assert head.status == 101


@pytest.mark.parametrize("status", ["200 OK", "301 Moved Permanently", "401 Unauthorized", "403 Forbidden", "404 Not Found",
                                    "426 Upgrade Required", "500 Oops", "503 Busy"])
def test_4_1_an_answer_that_is_not_101_is_handled_as_http_and_opens_nothing(stage, status):
    head, client, served = answered(stage, "Content-Length: 5", "X-Own: 1", "Location: /else", *GOOD, status=f"HTTP/1.1 {status}",
                                    behind=b"words")
    assert head.status == int(status[:3]) and head.get("x-own") == "1"
    assert client.read_body() == b"words"
    assert head.get("sec-websocket-accept") is None or head.status != 101


BAD = {
    "no-upgrade": (CONNECTION, GOOD[2]),
    "upgrade-h2c": ("Upgrade: h2c", CONNECTION, GOOD[2]),
    "upgrade-empty": ("Upgrade:", CONNECTION, GOOD[2]),
    "upgrade-websockets": ("Upgrade: websockets", CONNECTION, GOOD[2]),
    "no-connection": (UPGRADE, GOOD[2]),
    "connection-close": (UPGRADE, "Connection: close", GOOD[2]),
    "connection-upgraded": (UPGRADE, "Connection: Upgraded", GOOD[2]),
    "no-accept": (UPGRADE, CONNECTION),
    "accept-empty": (UPGRADE, CONNECTION, "Sec-WebSocket-Accept:"),
    "accept-twice": (*GOOD, GOOD[2]),
    "accept-longer": (UPGRADE, CONNECTION, "Sec-WebSocket-Accept: {accept}x"),
    "accept-quoted": (UPGRADE, CONNECTION, 'Sec-WebSocket-Accept: "{accept}"'),
    "unasked-subprotocol": (*GOOD, "Sec-WebSocket-Protocol: nobody.asked"),
    "unasked-extension": (*GOOD, "Sec-WebSocket-Extensions: x-unknown"),
    "unasked-deflate": (*GOOD, "Sec-WebSocket-Extensions: permessage-deflate"),
    "broken-extension": (*GOOD, "Sec-WebSocket-Extensions: ;"),
}


@pytest.mark.parametrize("lines", [pytest.param(v, id=k) for k, v in BAD.items()])
def test_4_1_an_answer_that_breaks_a_rule_fails_the_connection(stage, lines):
    head, client, served = answered(stage, *lines)
    assert head.status == 502
    assert served.read_end() == b"", "and nothing more is said to that backend"


@pytest.mark.parametrize("accept", [accept_for(KEY).swapcase(), accept_for("x" + KEY[1:]), KEY, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                                    accept_for(KEY)[:-1]], ids=["case", "other-key", "the-key", "zeros", "no-padding"])
def test_4_1_an_accept_that_does_not_fit_the_key_fails_the_connection(stage, accept):
    head, _, _ = answered(stage, *GOOD, accept=accept)
    assert head.status == 502


@pytest.mark.parametrize("status", ["HTTP/1.0 101 Switching Protocols", "HTTP/2.0 101 x", "HTTP/1.1 1O1 x", "101 Switching Protocols",
                                    "ICY 101 OK", "HTTP/1.1  101 two spaces"])
def test_4_1_an_answer_that_is_no_http_1_1_fails_the_connection(stage, status):
    head, _, _ = answered(stage, *GOOD, status=status)
    assert head.status == 502


def test_4_1_frames_of_a_refused_answer_never_reach_the_client(stage):
    head, client, _ = answered(stage, UPGRADE, CONNECTION, behind=frame(TEXT, "too early"))
    assert head.status == 502
    assert b"too early" not in client.read_end()


# ---- subprotocols

PROTOCOLS = [("Sec-WebSocket-Protocol", "v1.chat, v2.chat")]


@pytest.mark.parametrize("chosen", ["v1.chat", "v2.chat"])
def test_4_1_the_backend_may_choose_one_of_the_subprotocols(stage, chosen):
    head, _, _ = answered(stage, *GOOD, f"Sec-WebSocket-Protocol: {chosen}", headers=PROTOCOLS)
    assert head.status == 101 and head.all("sec-websocket-protocol") == [chosen]


def test_4_1_the_backend_may_choose_none_of_the_subprotocols(stage):
    head, _, _ = answered(stage, *GOOD, headers=PROTOCOLS)
    assert head.status == 101 and head.get("sec-websocket-protocol") is None


@pytest.mark.parametrize("lines", [
    ("Sec-WebSocket-Protocol: v3.chat",), ("Sec-WebSocket-Protocol: V1.CHAT",), ("Sec-WebSocket-Protocol: v1.chat, v2.chat",),
    ("Sec-WebSocket-Protocol: v1.chat", "Sec-WebSocket-Protocol: v2.chat"),
    ("Sec-WebSocket-Protocol: v1.chat", "Sec-WebSocket-Protocol: v1.chat"), ("Sec-WebSocket-Protocol:",), ("Sec-WebSocket-Protocol: v1",),
], ids=["other", "case", "both", "two-headers", "twice", "empty", "prefix"])
def test_4_1_a_subprotocol_that_was_not_asked_for_fails_the_connection(stage, lines):
    head, _, _ = answered(stage, *GOOD, *lines, headers=PROTOCOLS)
    assert head.status == 502
