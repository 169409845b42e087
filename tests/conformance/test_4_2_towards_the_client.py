# SPDX-License-Identifier: Apache-2.0
"""RFC 6455 4.2 to 4.4 and 9.1: the gateway as a server. What a client must send, and what it gets."""
import base64

import pytest

from harness.raw import KEY, TEXT, accept_for, request


def refused(stage, status, **how):
    """The gateway answers this itself; nothing of it goes to the backend."""
    before = stage.backend.accepted
    head = stage.ask(**how)
    assert head.status == status, head
    assert stage.backend.accepted == before
    return head


def opens(stage, **how):
    client, served = stage.knock(**how)
    served.upgrade()
    head = client.read_head()
    assert head.status == 101, head
    data = client.send_text("x")
    assert served.take(len(data)) == data
    return head


# ---- 4.2.1 Reading the client's opening handshake

def test_4_2_1_a_right_request_is_taken(stage):
    opens(stage)


@pytest.mark.parametrize("first", ["POST {} HTTP/1.1", "PUT {} HTTP/1.1", "HEAD {} HTTP/1.1", "CONNECT {} HTTP/1.1", "get {} HTTP/1.1"])
def test_4_2_1_the_method_must_be_get(stage, first):
    head = refused(stage, 405, first=first.format("/raw"))
    assert head.get("allow") == "GET"


def test_4_2_1_the_version_of_http_must_be_1_1_or_higher(stage):
    refused(stage, 505, first="GET /raw HTTP/1.0")


@pytest.mark.parametrize("first", ["GET /raw", "GET HTTP/1.1", "GET /raw HTTP/1.x", "GET /raw FTP/1.1", "GET  /raw HTTP/1.1",
                                   "GET raw HTTP/1.1", "GET /raw#part HTTP/1.1", "GET /ra w HTTP/1.1"])
def test_4_2_1_a_request_line_that_is_not_http_is_refused(stage, first):
    refused(stage, 400, first=first)


def test_4_2_1_a_request_line_with_an_absolute_uri_is_a_resource_name_too(stage):
    """RFC 9112 3.2.2: a server must take it, although only proxies are asked so."""
    for scheme in ("http", "https", "HTTP"):
        client, target = stage.dial(), stage.target("raw")
        client.send(request(first=f"GET {scheme}://app.test{target} HTTP/1.1"))
        served = stage.next_served(target)  # as a path: whoever stands behind the gateway is no proxy
        served.upgrade()
        assert client.read_head().status == 101


@pytest.mark.parametrize("name, status", [("host", 400), ("upgrade", 426), ("connection", 400), ("sec-websocket-key", 400),
                                          ("sec-websocket-version", 400)])
def test_4_2_1_a_request_that_lacks_a_header_is_refused(stage, name, status):
    refused(stage, status, drop=(name,))


@pytest.mark.parametrize("name, value", [("Host", "app.test"), ("Host", "other.test"), ("Sec-WebSocket-Key", KEY),
                                         ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="), ("Sec-WebSocket-Version", "13")])
def test_4_2_1_a_header_that_must_be_there_once_is_refused_twice(stage, name, value):
    refused(stage, 400, headers=[(name, value)])


def test_4_2_1_two_origins_are_refused(stage):
    refused(stage, 400, headers=[("Origin", "https://a.test"), ("Origin", "https://b.test")])


def test_4_2_1_an_empty_host_is_refused(stage):
    refused(stage, 400, host="")


@pytest.mark.parametrize("name", ["Host", "host", "HOST", "hOsT"])
def test_4_2_1_header_names_are_compared_without_case(stage, name):
    client, target = stage.dial(), stage.target("raw")
    text = request(target).decode().replace("Host:", f"{name}:")
    for word in ("Upgrade:", "Connection:", "Sec-WebSocket-Key:", "Sec-WebSocket-Version:"):
        text = text.replace(f"\n{word}", f"\n{word.swapcase()}")
    client.send(text.encode())
    stage.next_served(target).upgrade()
    assert client.read_head().status == 101


@pytest.mark.parametrize("value", ["websocket", "WebSocket", "WEBSOCKET", "h2c, websocket", "websocket, foo/2"])
def test_4_2_1_upgrade_must_hold_websocket_in_any_case(stage, value):
    opens(stage, drop=("upgrade",), headers=[("Upgrade", value)])


@pytest.mark.parametrize("value", ["", "h2c", "websockets", "web socket", "websocket/13x", "\"websocket\""])
def test_4_2_1_upgrade_without_websocket_is_refused(stage, value):
    refused(stage, 426, drop=("upgrade",), headers=[("Upgrade", value)])


@pytest.mark.parametrize("value", ["upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade, keep-alive", "a,b , upGrade ,c"])
def test_4_2_1_connection_must_hold_upgrade_in_any_case(stage, value):
    opens(stage, drop=("connection",), headers=[("Connection", value)])


def test_4_2_1_connection_may_be_in_two_headers(stage):
    opens(stage, drop=("connection",), headers=[("Connection", "keep-alive"), ("Connection", "Upgrade")])


@pytest.mark.parametrize("value", ["", "keep-alive", "close", "upgraded", "up grade", "keep-alive; upgrade"])
def test_4_2_1_connection_without_upgrade_is_refused(stage, value):
    refused(stage, 400, drop=("connection",), headers=[("Connection", value)])


@pytest.mark.parametrize("key", [
    "", "x", KEY[:-1], KEY[:-2], KEY + "=", base64.b64encode(b"x" * 15).decode(), base64.b64encode(b"x" * 17).decode(),
    base64.b64encode(b"x" * 12).decode(), base64.b64encode(b"x" * 18).decode(), "dGhlIHNhbXBsZSBub25j!Q==", "dGhlIHNhbXBs ZSBub25jZQ==",
    "-_-_-_-_-_-_-_-_-_-_-w==", "=" * 24, "dGhlIHNhbXBsZSBub25jZ===", f"{KEY},", f'"{KEY}"'])
def test_4_2_1_a_key_that_is_not_16_bytes_in_base64_is_refused(stage, key):
    refused(stage, 400, key=key)


@pytest.mark.parametrize("version", ["0", "4", "6", "7", "8", "12", "14", "25", "255", "256", "-13", "+13", "013", "13.0", "x", "", "13, 8",
                                     "8, 13", "130", "1 3"])
def test_4_2_1_another_version_is_refused_with_426_and_the_version_that_is_spoken(stage, version):
    head = refused(stage, 426, drop=("sec-websocket-version",), headers=[("Sec-WebSocket-Version", version)])
    assert head.all("sec-websocket-version") == ["13"]


@pytest.mark.parametrize("version", ["13", " 13 ", "\t13"])
def test_4_2_1_version_13_is_taken_with_spaces_around(stage, version):
    opens(stage, drop=("sec-websocket-version",), headers=[("Sec-WebSocket-Version", version)])


def test_4_2_1_unknown_headers_are_no_reason_to_refuse(stage):
    opens(stage, headers=[("X-Whatever", "1"), ("Sec-WebSocket-Draft", "x"), ("Sec-Fetch-Mode", "websocket"), ("DNT", "1")])


def test_4_2_1_the_order_of_headers_does_not_matter(stage):
    client, target = stage.dial(), stage.target("raw")
    first, *lines = request(target).decode().strip().split("\r\n")
    client.send("\r\n".join([first, *reversed(lines), "", ""]).encode())
    stage.next_served(target).upgrade()
    assert client.read_head().status == 101


def test_4_2_1_a_request_may_come_bytewise(stage):
    client, target = stage.dial(), stage.target("raw")
    client.send_slowly(request(target))
    stage.next_served(target).upgrade()
    assert client.read_head().status == 101


def test_4_1_a_client_that_does_not_wait_for_the_answer_is_refused(stage):
    client = stage.dial()
    client.send(request(stage.target("raw")) + client.frame(TEXT, "too early"))
    assert client.read_head().status == 400


@pytest.mark.parametrize("name, value", [("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("Content-Length", "0, 5"),
                                         ("Expect", "100-continue")])
def test_4_2_1_a_handshake_has_no_body(stage, name, value):
    refused(stage, 400, headers=[(name, value)])


@pytest.mark.parametrize("line", [" folded: x", "No-Colon", "Bad Name: x", ": no name", "N\0l: x", "Bare: a\rb", "X: \x01", "Space : x"])
def test_4_2_1_a_header_that_is_not_http_is_refused(stage, line):
    client = stage.dial()
    client.send(request(stage.target("raw"))[:-2] + line.encode() + b"\r\n\r\n")
    assert client.read_head().status == 400


# ---- 4.2.2 Sending the server's opening handshake

def test_4_2_2_the_answer_is_101_with_upgrade_connection_and_the_accept_of_the_clients_own_key(stage):
    head = opens(stage)
    assert head.first.startswith("HTTP/1.1 101 ")
    assert [v.lower() for v in head.all("upgrade")] == ["websocket"]
    assert [v.lower() for v in head.all("connection")] == ["upgrade"]
    assert head.all("sec-websocket-accept") == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]  # RFC 6455 1.3


def test_4_2_2_the_accept_follows_from_any_key(stage):
    for nonce in (b"\0" * 16, b"\xff" * 16, bytes(range(16))):
        key = base64.b64encode(nonce).decode()
        assert opens(stage, key=key).all("sec-websocket-accept") == [accept_for(key)]


def test_4_2_2_the_answer_names_no_subprotocol_and_no_extension_that_nobody_chose(stage):
    head = opens(stage, headers=[("Sec-WebSocket-Protocol", "v1"), ("Sec-WebSocket-Extensions", "permessage-deflate")])
    assert head.get("sec-websocket-protocol") is None and head.get("sec-websocket-extensions") is None


def test_4_2_2_a_conforming_backend_chooses_the_subprotocol(stage):
    client = stage.dial()
    head = client.ask("/echo", headers=[("Sec-WebSocket-Protocol", "v9.echo, v1.echo, x")])
    assert head.status == 101 and head.all("sec-websocket-protocol") == ["v1.echo"]


@pytest.mark.parametrize("origin", ["https://evil.test", "http://app.test", "https://app.test.evil.test", "null",
                                    "https://app.test:444"])
def test_4_2_2_an_origin_that_is_not_wanted_gets_403(stage, origin):
    refused(stage, 403, route="raw-origin", headers=[("Origin", origin)])


def test_4_2_2_an_origin_that_is_wanted_is_let_in(stage):
    opens(stage, route="raw-origin", headers=[("Origin", "https://app.test")])
    opens(stage, route="raw-origin", headers=[("Origin", "HTTPS://App.Test")])


def test_4_2_2_a_resource_that_is_not_there_gets_404(stage):
    assert stage.dial().ask("/nowhere").status == 404


def test_4_2_2_a_backend_that_is_not_there_gets_502(stage):
    assert stage.ask("nobody").status == 502


def test_4_2_2_the_backends_own_headers_and_cookies_come_with_the_answer(stage):
    client, served = stage.knock()
    served.upgrade([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Server", "x/1")])
    head = client.read_head()
    assert head.all("set-cookie") == ["a=1", "b=2"] and head.get("server") == "x/1"


def test_4_2_2_a_refused_request_gets_an_answer_that_ends(stage):
    head = refused(stage, 400, drop=("sec-websocket-key",))
    assert head.get("content-length") is not None or head.get("connection") == "close"
    head.client.read_body()
    head.client.expect_end()


# ---- 4.3 the grammar of the headers: 1#token

@pytest.mark.parametrize("value", ["a b", "a/b", "chat;q=1", "{x}", "a,b c", "\"chat\"", "ch@t", "é", "", ",", " , ,"])
def test_4_3_a_subprotocol_must_be_a_token(stage, value):
    refused(stage, 400, headers=[("Sec-WebSocket-Protocol", value)])


@pytest.mark.parametrize("fields", [["chat, chat"], ["chat", "chat"], ["a,b,a"]])
def test_4_1_the_subprotocols_of_a_request_must_be_unique(stage, fields):
    refused(stage, 400, headers=[("Sec-WebSocket-Protocol", f) for f in fields])


@pytest.mark.parametrize("fields, seen", [
    (["chat"], ["chat"]), (["chat,superchat"], ["chat", "superchat"]), (["a", "b, c"], ["a", "b", "c"]), (["chat, Chat"], ["chat", "Chat"]),
    ([" a ,\tb "], ["a", "b"]), (["a,,b"], ["a", "b"]), (["!#$%&'*+-.^_`|~0aZ"], ["!#$%&'*+-.^_`|~0aZ"])])
def test_4_3_subprotocols_are_a_list_that_may_stand_in_several_headers(stage, fields, seen):
    _, served = stage.knock(headers=[("Sec-WebSocket-Protocol", f) for f in fields])
    members = [m.strip() for value in served.head.all("sec-websocket-protocol") for m in value.split(",")]
    assert [m for m in members if m] == seen


# ---- 4.4 Supporting multiple versions

@pytest.mark.parametrize("offered", ["8", "25"])
def test_4_4_a_client_that_is_told_the_version_comes_back_with_it_and_is_let_in(stage, offered):
    head = refused(stage, 426, drop=("sec-websocket-version",), headers=[("Sec-WebSocket-Version", offered)])
    opens(stage, drop=("sec-websocket-version",), headers=[("Sec-WebSocket-Version", head.get("sec-websocket-version"))])


def test_4_4_a_client_that_names_no_version_is_told_it_too(stage):
    assert refused(stage, 400, drop=("sec-websocket-version",)).all("sec-websocket-version") == ["13"]


def test_4_4_an_upgrade_required_says_to_what_and_that_it_concerns_the_connection(stage):
    """RFC 9110 15.5.22 and 7.8: whoever sends Upgrade names it in Connection."""
    for how in ({"drop": ("sec-websocket-version",), "headers": [("Sec-WebSocket-Version", "8")]},
                {"drop": ("upgrade", "connection", "sec-websocket-key", "sec-websocket-version")}):
        head = refused(stage, 426, **how)
        assert [v.lower() for v in head.all("upgrade")] == ["websocket"]
        assert "upgrade" in [o.strip().lower() for v in head.all("connection") for o in v.split(",")]


def test_4_4_the_backends_own_426_reaches_the_client_with_its_versions(stage):
    client, served = stage.knock()
    served.answer(426, b"", [("Sec-WebSocket-Version", "13, 8")])
    head = client.read_head()
    assert head.status == 426 and head.get("sec-websocket-version") == "13, 8"


# ---- 9.1 Negotiating extensions: the grammar

@pytest.mark.parametrize("value", [
    "", ";", ",", "=", "permessage-deflate;", "permessage-deflate; ", "; a", "a; =1", "a; b=", "a; b=\"", "a; b=\"x", "a; b=\"\"", "a b",
    "a; b c", "a; b=c d", "a; b=\"c\" d", "a; b=\"c d\"", "a; b=\"c,d\"", "a/b", "a; b=(c)", "\"a\"", "a; b==c", "a;; b", "a; b=c=d",
    "permessage-deflate; client_max_window_bits=\"15", "é"])
def test_9_1_a_header_that_cannot_be_read_is_refused_with_400(stage, value):
    refused(stage, 400, headers=[("Sec-WebSocket-Extensions", value)])


def test_9_1_one_header_that_cannot_be_read_among_good_ones_is_refused(stage):
    refused(stage, 400, headers=[("Sec-WebSocket-Extensions", "permessage-deflate"), ("Sec-WebSocket-Extensions", "a; b=\"")])


@pytest.mark.parametrize("value", ["x-unknown", "x-unknown; a; b=c; d=\"e\"", "permessage-bzip2", "a, b, c; d"])
def test_9_1_extensions_that_nobody_here_knows_are_declined_and_not_passed_on(stage, value):
    _, served = stage.knock(headers=[("Sec-WebSocket-Extensions", value)])
    assert served.head.get("sec-websocket-extensions") is None
