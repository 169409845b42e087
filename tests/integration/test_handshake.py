# SPDX-License-Identifier: Apache-2.0
"""The opening handshake through the gateway: routes, paths, headers, refusals, upstreams."""
import collections
import json

import pytest

from harness import raw
from harness.process import accepts, free_port, wait_for
from harness.raw import TEXT, Client


def target_seen(gateway, backend, path, **how):
    client, served = gateway.pair(backend, path, **how)
    client.close()
    return served.head.target


# ---- what the backend sees

@pytest.mark.parametrize("target", [
    "/", "/ws/inbox/?token=a.b-c_d", "/a%20b/%C3%A9?x=%2F&y=+%20&z", "/x?", "/x?a=1&a=2&&=&b", "/;v=1/a,b/~u?q=?/:@",
])
def test_path_and_query_reach_the_backend_byte_for_byte(relay, target):
    gateway, backend = relay()
    assert target_seen(gateway, backend, target) == target


def test_the_backend_sees_one_correct_handshake_and_the_clients_own_headers(relay):
    gateway, backend = relay()
    client, served = gateway.pair(backend, "/ws", headers=[
        ("Origin", "https://app.test"), ("Cookie", "session=abc"), ("X-Own", "one"), ("X-Own", "two"), ("User-Agent", "u/1")])
    head = served.head
    assert head.first == "GET /ws HTTP/1.1"
    assert head.all("host") == ["app.test"]
    assert head.all("upgrade") == ["websocket"] and "upgrade" in head.get("connection").lower()
    assert head.all("sec-websocket-version") == ["13"] and len(head.all("sec-websocket-key")) == 1
    assert head.get("origin") == "https://app.test" and head.get("cookie") == "session=abc"
    assert head.all("x-own") == ["one", "two"] and head.get("user-agent") == "u/1"
    assert head.get("x-forwarded-for") == "127.0.0.1" and head.get("x-forwarded-proto") == "http"
    assert head.get("x-forwarded-host") == "app.test"


def test_headers_named_by_connection_are_not_forwarded(relay):
    gateway, backend = relay()
    _, served = gateway.pair(backend, drop=("connection",), headers=[
        ("Connection", "Upgrade, X-Hop"), ("X-Hop", "secret"), ("Keep-Alive", "timeout=5"), ("X-End", "stays")])
    assert served.head.get("x-hop") is None and served.head.get("keep-alive") is None
    assert served.head.get("x-end") == "stays"


def test_the_backends_own_headers_reach_the_client_with_its_101(relay):
    gateway, backend = relay()
    client = gateway.client()
    client.send(raw.request())
    backend.next().upgrade([("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2"), ("X-Served-By", "worker 7")])
    head = client.read_head()
    assert head.status == 101 and head.get("sec-websocket-accept") == raw.accept_for(raw.KEY)
    assert head.all("set-cookie") == ["a=1; Path=/", "b=2"] and head.get("x-served-by") == "worker 7"


def test_preserve_host_false_sends_the_upstreams_own_host(relay):
    gateway, backend = relay({"preserve_host": False})
    _, served = gateway.pair(backend)
    assert served.head.get("host") == f"127.0.0.1:{backend.address[1]}"


# ---- routes

def test_the_longest_prefix_wins_and_prefixes_end_at_a_slash(gateway, backend):
    shop, chat, deep = backend(), backend(), backend()
    g = gateway(config={"routes": [
        {"path": "/shop", "upstream": shop.url},
        {"path": "/chat/", "upstream": chat.url},
        {"path": "/shop/deep", "upstream": deep.url}]})
    assert target_seen(g, shop, "/shop") == "/shop"
    assert target_seen(g, shop, "/shop/x") == "/shop/x"
    assert target_seen(g, shop, "/shop?q=1") == "/shop?q=1"
    assert target_seen(g, deep, "/shop/deep/er") == "/shop/deep/er"
    assert target_seen(g, chat, "/chat/a") == "/chat/a"
    for stranger in ("/shopping", "/chat", "/", "/other"):
        assert g.client().ask(stranger).status == 404, stranger


def test_a_route_rewrites_its_prefix_and_keeps_the_query(gateway, backend):
    b = backend()
    g = gateway(config={"routes": [{"path": "/public/ws/", "upstream": b.url, "rewrite": "/ws/inbox/"}]})
    assert target_seen(g, b, "/public/ws/?token=x%20y") == "/ws/inbox/?token=x%20y"
    assert target_seen(g, b, "/public/ws/a/b?c") == "/ws/inbox/a/b?c"


def test_a_path_in_the_upstreams_url_is_put_in_front(gateway, backend):
    b = backend()
    assert target_seen(gateway(b.url + "/base"), b, "/ws?q") == "/base/ws?q"


@pytest.mark.parametrize("target", ["/ws/../admin", "/ws/%2e%2e/admin", "/ws/%2E./x", "/ws/a%2Fb", "/ws/%00", "/ws/%zz",
                                    "/ws/.", "/ws/%5cx"])
def test_a_path_that_two_readers_could_understand_differently_is_refused(gateway, backend, target):
    b = backend()
    g = gateway(config={"routes": [{"path": "/ws/", "upstream": b.url}]})
    assert g.client().ask(target).status in (400, 404)
    assert b.accepted == 0


# ---- refusals

@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_a_backends_refusal_reaches_the_client_as_it_is(relay, status):
    gateway, backend = relay()
    client = gateway.client()
    client.send(raw.request())
    backend.next().answer(status, b'{"detail":"no \xc3\xa9"}', [("Content-Type", "application/json"), ("X-Why", "because"),
                                                               ("WWW-Authenticate", "Bearer")], reason="Own Words")
    head = client.read_head()
    assert head.status == status and head.first.endswith("Own Words")
    assert head.get("content-type") == "application/json" and head.get("x-why") == "because"
    assert head.get("www-authenticate") == "Bearer"
    assert client.read_body() == b'{"detail":"no \xc3\xa9"}'
    ending = gateway.ending()
    assert ending["who"] == "backend", ending


def test_a_chunked_refusal_and_one_that_ends_with_the_connection_both_arrive_whole(relay):
    gateway, backend = relay()
    for head, wire in ((b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n"), (b"", b"hello world")):
        client = gateway.client()
        client.send(raw.request())
        served = backend.next()
        served.send(b"HTTP/1.1 403 Forbidden\r\n" + head + b"\r\n" + wire).close()
        answer = client.read_head()
        assert answer.status == 403
        body = client.read_end()
        if answer.get("transfer-encoding"):
            assert body.replace(b"\r\n", b"").endswith(b"0") and b"hello" in body and b" world" in body
        else:
            assert body == b"hello world"


def test_a_refusals_body_of_64_kib_arrives_whole(relay):
    gateway, backend = relay()
    client = gateway.client()
    client.send(raw.request())
    backend.next().answer(403, b"x" * 65536)
    assert client.read_head().status == 403
    assert client.read_body() == b"x" * 65536


def test_an_upstream_that_is_not_there_gives_502_and_an_ending_that_says_so(gateway):
    g = gateway(f"http://127.0.0.1:{free_port()}")
    assert g.client().ask().status == 502
    ending = g.ending()
    assert ending["who"] == "backend" and ending["code"] != 1006, ending


def test_an_upstream_that_never_answers_gives_504_after_upstream_timeout(relay):
    gateway, backend = relay({"upstream_timeout": "500ms"})
    assert gateway.client().ask().status == 504


def answers_nonsense(served):
    served.send(b"220 smtp.example.com ESMTP\r\n\r\n")
    served.read_end()


def answers_wrong_accept(served):
    served.upgrade(accept="AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
    served.read_end()


def answers_unoffered_protocol(served):
    served.upgrade([("Sec-WebSocket-Protocol", "nobody.asked")])
    served.read_end()


def answers_unoffered_extension(served):
    served.upgrade([("Sec-WebSocket-Extensions", "permessage-deflate")])
    served.read_end()


def answers_200(served):
    served.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n")
    served.read_end()


def dies(served):
    served.reset()


@pytest.mark.parametrize("script", [answers_nonsense, answers_wrong_accept, answers_unoffered_protocol,
                                    answers_unoffered_extension, answers_200, dies])
def test_a_backend_whose_answer_is_no_handshake_gives_502(gateway, backend, script):
    g = gateway(backend(script).url)
    assert g.client().ask().status == 502
    assert g.ending()["who"] == "backend"


def test_what_is_no_upgrade_gets_426_and_a_sentence(relay):
    gateway, backend = relay()
    for data in (b"GET / HTTP/1.1\r\nHost: app.test\r\n\r\n", b"POST /x HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n"):
        client = gateway.client()
        client.send(data)
        head = client.read_head()
        assert head.status == 426, head
        assert head.get("upgrade", "").lower() == "websocket"
        assert b"WebSocket" in client.read_body()
    assert backend.accepted == 0


def test_another_version_gets_426_with_the_version_that_is_spoken(relay):
    gateway, _ = relay()
    client = gateway.client()
    head = client.ask(drop=("sec-websocket-version",), headers=[("Sec-WebSocket-Version", "8")])
    assert head.status == 426 and head.get("sec-websocket-version") == "13"


# ---- subprotocols and extensions

def test_subprotocols_pass_end_to_end(joined):
    _, client, served = joined(answer=[("Sec-WebSocket-Protocol", "v2.chat")],
                               headers=[("Sec-WebSocket-Protocol", "v1.chat, v2.chat")])
    assert served.head.get("sec-websocket-protocol") == "v1.chat, v2.chat"
    assert client.head.all("sec-websocket-protocol") == ["v2.chat"]


def test_no_extension_is_offered_that_the_client_did_not_offer(joined):
    _, client, served = joined()
    assert served.head.get("sec-websocket-extensions") is None
    assert client.head.get("sec-websocket-extensions") is None


def test_permessage_deflate_passes_end_to_end_and_its_frames_stay_untouched(joined):
    offer = "permessage-deflate; client_max_window_bits; server_no_context_takeover, permessage-deflate"
    agreed = "permessage-deflate; server_no_context_takeover; client_max_window_bits=12"
    _, client, served = joined(headers=[("Sec-WebSocket-Extensions", offer)], answer=[("Sec-WebSocket-Extensions", agreed)])
    assert served.head.get("sec-websocket-extensions").replace(" ", "") == offer.replace(" ", "")
    assert client.head.get("sec-websocket-extensions").replace(" ", "") == agreed.replace(" ", "")
    up = client.frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4)
    client.send(up)
    assert served.take(len(up)) == up
    down = served.send_frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv=4)
    assert client.take(len(down)) == down


@pytest.mark.parametrize("bad", [
    "permessage-deflate; unknown=1", "permessage-deflate; server_max_window_bits=7",
    "permessage-deflate; server_max_window_bits=16", "permessage-deflate; client_max_window_bits=008",
    "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; server_no_context_takeover; "
    "server_no_context_takeover", "permessage-deflate; server_max_window_bits", "x-webkit-deflate-frame"])
def test_an_offer_against_rfc_7692_is_taken_out_and_good_ones_stay(relay, bad):
    gateway, backend = relay()
    _, served = gateway.pair(backend, headers=[("Sec-WebSocket-Extensions", f"{bad}, permessage-deflate")])
    assert served.head.get("sec-websocket-extensions") == "permessage-deflate"
    _, served = gateway.pair(backend, headers=[("Sec-WebSocket-Extensions", bad)])
    assert served.head.get("sec-websocket-extensions") is None


@pytest.mark.parametrize("header", ["permessage-deflate; =1", "permessage deflate", "permessage-deflate; a=\"", ";", "a;b=c d"])
def test_an_extensions_header_that_cannot_be_parsed_is_refused_with_400(relay, header):
    gateway, backend = relay()
    assert gateway.client().ask(headers=[("Sec-WebSocket-Extensions", header)]).status == 400
    assert backend.accepted == 0


@pytest.mark.parametrize("answer", ["permessage-deflate; server_max_window_bits=12; client_max_window_bits=10", "bogus",
                                    "permessage-deflate, permessage-deflate"])
def test_an_extension_answer_that_fits_no_offer_gives_502(gateway, backend, answer):
    def script(served):
        served.upgrade([("Sec-WebSocket-Extensions", answer)])
        served.read_end()
    g = gateway(backend(script).url)
    assert g.client().ask(headers=[("Sec-WebSocket-Extensions", "permessage-deflate")]).status == 502


# ---- where to: several upstreams, other families

def test_the_connect_is_tried_again_at_another_upstream(gateway, backend):
    b = backend(raw.echo)
    g = gateway(config={"upstream": [f"http://127.0.0.1:{free_port()}", b.url, f"http://127.0.0.1:{free_port()}"]})
    for _ in range(10):
        g.client().open().send_text("x")
    assert b.accepted == 10


def test_least_connections_spreads_evenly(gateway, backend):
    backends = [backend(raw.echo) for _ in range(3)]
    g = gateway(config={"upstream": [b.url for b in backends]}, workers=1)
    held = [g.client().open() for _ in range(9)]
    assert [b.accepted for b in backends] == [3, 3, 3]
    del held


def test_a_query_key_always_leads_to_the_same_upstream(gateway, backend):
    backends = [backend(raw.echo) for _ in range(3)]
    g = gateway(config={"upstream": [b.url for b in backends], "balance": "query:room"})
    seen = collections.defaultdict(set)
    for _ in range(3):
        for room in range(12):
            before = [b.accepted for b in backends]
            g.client().open(f"/?x=1&room=r{room}")
            after = [b.accepted for b in backends]
            seen[room].add([i for i in range(3) if after[i] != before[i]][0])
    assert all(len(where) == 1 for where in seen.values()), seen
    assert len(set.union(*seen.values())) > 1, "all rooms at one upstream"


def test_a_cookie_key_and_a_clients_address_always_lead_to_the_same_upstream(gateway, backend):
    backends = [backend(raw.echo) for _ in range(3)]
    g = gateway(config={"upstream": [b.url for b in backends], "balance": "cookie:sid"})
    for _ in range(6):
        g.client().open(headers=[("Cookie", "a=1; sid=s-77; b=2")])
    assert sorted(b.accepted for b in backends) == [0, 0, 6]
    g = gateway(config={"upstream": [b.url for b in backends], "balance": "address"})
    for _ in range(6):
        g.client().open()
    assert sorted(b.accepted % 6 for b in backends) == [0, 0, 0]


def test_an_upstream_that_fails_is_left_out_for_a_while(gateway, backend):
    good = backend(raw.echo)
    dead = f"http://127.0.0.1:{free_port()}"
    g = gateway(config={"upstream": [dead, good.url], "health": {"fails": 1, "down": "60s"}}, workers=1)
    kept = [g.client().open() for _ in range(3)]  # open, so that the dead one has the fewest connections and is tried
    late = backend(raw.echo, port=int(dead.rsplit(":", 1)[1]))  # it is back, but its time is not over
    kept += [g.client().open() for _ in range(8)]
    assert (good.accepted, late.accepted) == (len(kept), 0)


def test_a_unix_socket_serves_as_upstream_and_as_listener(gateway, backend, short_folder):
    b = backend(raw.echo, path=short_folder / "app.sock")
    listener = str(short_folder / "front.sock")
    g = gateway(b.url, flags=["--listen", f"unix:{listener}"])
    for address in (g.address, listener):
        client = Client(address).open("/ws?x=1")
        client.send_text("through the file system")
        client.expect_text("through the file system")
        assert b.connections[-1].head.target == "/ws?x=1"


def test_ipv6_serves_as_listener_and_as_upstream(gateway, backend):
    if not ipv6_works():
        pytest.skip("no IPv6 loopback here")
    b = backend(raw.echo, host="::1")
    g = gateway(b.url, listen="::1")
    client = Client(("::1", g.port)).open()
    client.send_text("x")
    client.expect_text("x")
    assert b.connections[-1].head.get("x-forwarded-for") == "::1"


def ipv6_works():
    import socket
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def test_a_name_as_upstream_is_resolved(gateway, backend):
    b = backend(raw.echo)
    gateway(f"http://localhost:{b.address[1]}").client().open().send_text("x")


def test_several_workers_share_the_port_and_one_page_shows_them_all(gateway, backend):
    b = backend(raw.echo)
    g = gateway(b.url, workers=4)
    held = [g.client().open() for _ in range(40)]
    g.wait_sessions(40)
    for client in held:
        client.send_close(1000)
    endings = g.wait_endings(40)
    assert len(endings) == 40
    assert len({json.dumps(e, sort_keys=True) for e in endings}) == 40


def test_a_unix_listener_that_is_left_over_from_a_crash_is_taken_over(gateway, backend, short_folder):
    b = backend(raw.echo)
    listener = str(short_folder / "front.sock")
    first = gateway(b.url, flags=["--listen", f"unix:{listener}"])
    first.process.popen.kill()
    first.process.popen.wait()
    first.stopped = True
    gateway(b.url, flags=["--listen", f"unix:{listener}"])
    wait_for(lambda: accepts(listener), "the socket is served again")
