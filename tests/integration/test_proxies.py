# SPDX-License-Identifier: Apache-2.0
"""Whom the gateway believes about a client's address: PROXY headers and forwarding headers of trusted addresses only."""
import socket
import struct

import pytest

from harness import raw, servers
from harness.process import accepts, free_port, wait_for
from harness.raw import Client

V2 = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source="203.0.113.7", port=4711, command=1, extra=b""):
    if ":" in source:
        body = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, "::1")
        family = 0x21
    else:
        body = socket.inet_aton(source) + socket.inet_aton("127.0.0.1")
        family = 0x11
    body += struct.pack(">HH", port, 443) + extra
    if command == 0:
        family, body = 0, b""
    return V2 + bytes([0x20 | command, family]) + struct.pack(">H", len(body)) + body


@pytest.fixture
def fronted(gateway, backend):
    """A gateway whose listener demands a PROXY header from 127.0.0.1: ask(bytes before the request) -> (answer, seen)."""
    def start(trusted=("127.0.0.1",)):
        b = backend(raw.echo)
        port = free_port()
        g = gateway(b.url, config={"listen": [{"address": f"127.0.0.1:{port}", "proxy_protocol": True}],
                                   "trusted_proxies": list(trusted)})
        g.address = ("127.0.0.1", port)
        return g, b
    return start


def seen(g, b, before, **how):
    with Client(g.address) as client:
        client.send(before + raw.request(**how))
        assert client.read_head().status == 101
        return b.connections[-1].head


@pytest.mark.parametrize("header, address", [
    (b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n", "203.0.113.7"),
    (b"PROXY TCP6 2001:db8::7 ::1 4711 443\r\n", "2001:db8::7"),
    (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    (v2(), "203.0.113.7"),
    (v2("2001:db8::7"), "2001:db8::7"),
    (v2(extra=b"\x04\x00\x03abc"), "203.0.113.7"),
    (v2(command=0), "127.0.0.1"),
], ids=["v1 tcp4", "v1 tcp6", "v1 unknown", "v2 tcp4", "v2 tcp6", "v2 with tlv", "v2 local"])
def test_the_address_of_a_proxy_header_is_the_clients(fronted, header, address):
    g, b = fronted()
    assert seen(g, b, header).get("x-forwarded-for") == address
    with Client(g.address) as slow:
        slow.send_slowly(header + raw.request())
        assert slow.read_head().status == 101
    assert {e["address"] for e in g.wait_endings(2)} == {address}


@pytest.mark.parametrize("header", [
    b"", b"PROXY TCP4 999.0.113.7 127.0.0.1 4711 443\r\n", b"PROXY TCP4 203.0.113.7\r\n", b"PROXY " + b"x" * 200 + b"\r\n",
    b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\n", V2 + b"\x31\x11\x00\x0c" + b"\0" * 12, V2 + b"\x21\x11\x00\x02\0\0",
    V2 + b"\x21\x11\xff\xff",
], ids=["none", "bad address", "cut", "too long", "bare lf", "bad version", "too short", "too big"])
def test_a_bad_or_missing_proxy_header_ends_the_connection_without_a_word(fronted, header):
    g, b = fronted()
    client = Client(g.address)
    client.send(header + raw.request())
    assert client.read_end() == b""
    assert g.ending()["cause"] == "proxy_header_bad"
    assert b.accepted == 0


def test_a_proxy_header_from_an_address_that_is_not_trusted_is_refused(fronted):
    g, b = fronted(trusted=["10.0.0.0/8"])
    client = Client(g.address)
    client.send(v2() + raw.request())
    assert client.read_end() == b""
    assert b.accepted == 0


@pytest.mark.parametrize("send", ["send-proxy", "send-proxy-v2"])
def test_haproxys_own_proxy_header_is_understood(fronted, scene, tmp_path, send):
    g, b = fronted()
    box = servers.haproxy(tmp_path, g.address[1], send_proxy=send)
    scene.callback(box.stop)
    wait_for(lambda: accepts(box.address), "HAProxy listens")
    client = Client(box.address, source="127.0.0.9").open()
    client.send_text("x")
    client.expect_text("x")
    assert b.connections[-1].head.get("x-forwarded-for") == "127.0.0.9"


def test_a_proxy_header_may_stand_before_tls(gateway, backend, authority):
    b = backend(raw.echo)
    cert, key = authority.leaf("app.test", label="proxied")
    port = free_port()
    g = gateway(b.url, config={"trusted_proxies": ["127.0.0.1"], "listen": [
        {"address": f"127.0.0.1:{port}", "proxy_protocol": True, "tls": [{"cert": str(cert), "key": str(key)}]}]})
    g.address = ("127.0.0.1", port)
    for header in (v2(), b"PROXY TCP4 203.0.113.7 127.0.0.1 4711 443\r\n"):
        client = Client(g.address, tls=authority.client_context(), server_name="app.test", before=header).open()
        client.send_text("x")
        client.expect_text("x")
        head = b.connections[-1].head
        assert (head.get("x-forwarded-for"), head.get("x-forwarded-proto")) == ("203.0.113.7", "https")


# ---- headers

@pytest.fixture
def trusting(gateway, backend):
    def start(trusted, **keys):
        b = backend(raw.echo)
        return gateway(b.url, config={"trusted_proxies": trusted, **keys}), b
    return start


@pytest.mark.parametrize("headers, address", [
    ([("X-Forwarded-For", "203.0.113.7")], "203.0.113.7"),
    ([("X-Forwarded-For", "1.1.1.1, 203.0.113.7, 10.1.1.1")], "203.0.113.7"),
    ([("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "203.0.113.7, 10.2.2.2")], "203.0.113.7"),
    ([("X-Forwarded-For", "10.9.9.9, 10.1.1.1")], "10.9.9.9"),
    ([("X-Forwarded-For", "2001:db8::7")], "2001:db8::7"),
    ([("Forwarded", 'for=1.1.1.1, for="[2001:db8::7]:443";proto=https')], "2001:db8::7"),
    ([("CF-Connecting-IP", "203.0.113.7")], "203.0.113.7"),
    ([], "127.0.0.1"),
    ([("X-Forwarded-For", "unknown")], "127.0.0.1"),
])
def test_the_nearest_untrusted_address_that_trusted_proxies_name_is_the_client(trusting, headers, address):
    g, b = trusting(["127.0.0.0/8", "10.0.0.0/8"])
    with g.client() as client:
        client.open(headers=headers)
    assert g.ending()["address"] == address


@pytest.mark.parametrize("header", ["X-Forwarded-For", "CF-Connecting-IP", "Forwarded", "X-Real-IP"])
def test_a_stranger_cannot_say_who_it_is(trusting, header):
    g, b = trusting(["10.0.0.0/8"])
    value = "for=203.0.113.7" if header == "Forwarded" else "203.0.113.7"
    with g.client() as client:
        client.open(headers=[(header, value)])
    assert g.ending()["address"] == "127.0.0.1"
    head = b.connections[-1].head
    assert "203.0.113.7" not in (head.get("x-forwarded-for") or ""), "a forged address must not reach the backend as ours"
    assert head.all("x-forwarded-for") == ["127.0.0.1"]


def test_a_limit_by_address_counts_the_client_behind_the_proxy(trusting):
    g, b = trusting(["127.0.0.1"], limits={"address_connections": 1})
    one = g.client().open(headers=[("X-Forwarded-For", "203.0.113.1")])
    two = g.client().open(headers=[("X-Forwarded-For", "203.0.113.2")])
    assert g.client().ask(headers=[("X-Forwarded-For", "203.0.113.1")]).status == 429
    del one, two


def test_the_chain_of_a_trusted_proxy_goes_on_to_the_backend_and_its_proto_is_kept(trusting):
    g, b = trusting(["127.0.0.1"])
    with g.client() as client:
        client.open(headers=[("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Proto", "https"),
                             ("X-Forwarded-Host", "public.example")])
    head = b.connections[-1].head
    assert head.get("x-forwarded-for").replace(" ", "") in ("203.0.113.7,127.0.0.1", "203.0.113.7")
    assert head.get("x-forwarded-proto") == "https" and head.get("x-forwarded-host") == "public.example"


def test_nginx_in_front_names_the_client_and_the_app_sees_it(trusting, scene, tmp_path):
    g, b = trusting(["127.0.0.1"])
    box = servers.nginx(tmp_path, g.port)
    scene.callback(box.stop)
    wait_for(lambda: accepts(box.address), "nginx listens")
    client = Client(box.address, source="127.0.0.8").open()
    client.send_text("x")
    client.expect_text("x")
    assert b.connections[-1].head.get("x-forwarded-for").split(",")[0] == "127.0.0.8"
