# SPDX-License-Identifier: Apache-2.0
"""`holdfast connect`, and through it the library: drops, TLS, proxies, places without a gateway."""
import base64
import json
import re
import socket
import subprocess
import threading

import pytest
from harness import raw
from harness.connect import Connect, Terminal, environment
from harness.drops import Box
from harness.gateway import BINARY
from harness.process import free_port, wait_for
from harness.raw import BINARY as BINARY_FRAME
from harness.raw import CLOSE, TEXT

RECORD = {"cause", "who", "code", "http", "reason", "held_ms", "silent_rx_ms", "silent_tx_ms", "rtt_ms", "unacked"}


@pytest.fixture
def connect(scene):
    def start(*words, **how):
        c = Connect(*words, **how)
        scene.callback(c.stop)
        return c
    return start


@pytest.fixture
def terminal(scene):
    def start(*words):
        t = Terminal(*words)
        scene.callback(t.stop)
        return t
    return start


def run(*words, text="", env=None):
    """Runs it to its end with this input."""
    return subprocess.run([BINARY, "connect", *map(str, words)], input=text, capture_output=True, text=True, timeout=20,
                          env=environment(env))


def ws(backend):
    return backend.url.replace("http", "ws", 1)


# ---- words and exit codes

def test_each_line_of_its_input_is_a_message_and_each_message_a_line_of_its_output(echo):
    done = run("-w", "0.3", ws(echo), text="one\ntwo\n\nlast without an end")
    assert done.stdout == "one\ntwo\n\nlast without an end\n", done
    assert done.returncode == 0
    assert "no gateway in the path" in done.stderr and "Disconnected: closed (client, code 1000)" in done.stderr


def test_what_is_executed_goes_out_and_it_ends_behind_its_wait(echo):
    done = run("-x", "a", "-x", "b", "-w", "0.3", ws(echo), text="not read")
    assert done.stdout == "a\nb\n" and done.returncode == 0


def test_the_exit_code_says_how_it_went(echo, backend):
    assert run("--help").returncode == 0
    for words in ([], ["--no-such"], ["ftp://x"], ["-H", "no colon", "ws://x"], ["-w", "soon", "ws://x"], ["-s", "a b", "ws://x"]):
        done = run(*words)
        assert done.returncode == 2 and done.stderr, words
    refused = run(f"ws://127.0.0.1:{free_port()}/")
    assert refused.returncode == 3 and "connection_refused (network)" in refused.stderr
    forbidden = backend(lambda c: c.answer(503, b"come back later\n"))
    done = run(ws(forbidden))
    assert done.returncode == 3 and "HTTP 503" in done.stderr and "come back later" in done.stderr
    inside = backend(lambda c: c.upgrade([("Sec-WebSocket-Protocol", "hf1")]).send_text("\x01end who=gateway reason=unavailable http=502"))
    done = run(ws(inside))
    assert done.returncode == 3 and done.stderr.startswith("Could not connect: unavailable (gateway"), done.stderr
    assert run(ws(echo), text="close 1000 fine\n").returncode == 0
    done = run(ws(echo), text="close 4400 it is over\n")
    assert done.returncode == 1 and "backend_close (backend, code 4400): it is over" in done.stderr


def test_a_name_that_nobody_knows_is_told():
    done = run("ws://no-such-host.invalid/")
    assert done.returncode == 3 and "name_unknown (network)" in done.stderr


def test_headers_subprotocols_origin_and_token_reach_the_other_side(backend):
    b = backend()
    with_header = subprocess.Popen([BINARY, "connect", "-H", "X-One: 1", "-H", "Cookie:a=b", "-s", "v1", "-s", "v2", "-o", "https://o.example",
                                    "--token", "to ken", "--json", ws(b) + "/p?q=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=environment())
    head = b.next().head
    with_header.kill()
    assert head.target == "/p?q=1"
    assert (head.get("x-one"), head.get("cookie"), head.get("origin"), head.get("authorization")) == (
        "1", "a=b", "https://o.example", "Bearer to ken")
    offers = head.get("sec-websocket-protocol").split(", ")
    assert re.fullmatch(r"hf1\.o\.[\w-]{22,}", offers[0]) and offers[1] == "hf1" and offers[2:] == ["v1", "v2"]
    with_query = subprocess.Popen([BINARY, "connect", "--token", "a&b=c ü", "--token-query", "access", "--no-hf1", ws(b) + "/p?q=1"],
                                  stdin=subprocess.PIPE, env=environment(), stderr=subprocess.DEVNULL)
    head = b.next().head
    with_query.kill()
    assert head.target == "/p?q=1&access=a%26b%3Dc%20%C3%BC"
    assert head.get("authorization") is None and head.get("sec-websocket-protocol") is None
    with_header.wait()
    with_query.wait()


def test_a_secret_in_the_query_is_in_no_event(echo, connect):
    c = connect(ws(echo) + "/x?token=s3cr3t-value")
    assert c.next("open")["url"].endswith("/x")
    c.finish()
    assert "s3cr3t" not in json.dumps(c.history)


# ---- sessions

def test_a_drop_is_resumed_and_the_events_say_how_the_connection_ended(echo, gateway, connect, scene, tmp_path):
    g = gateway(echo.url)
    box = Box(tmp_path, g.port, "--max-age", "0")
    scene.callback(box.stop)
    c = connect(f"ws://127.0.0.1:{box.port}/")
    opened = c.next("open")
    assert opened["gateway"] is True and opened["session"]
    c.say("before")
    assert c.message() == "before"
    box.ask("cut")
    lost = c.next("reconnecting")
    assert RECORD <= set(lost)
    assert (lost["cause"], lost["who"], lost["code"], lost["state"]) == ("connection_reset", "network", 1006, "reconnecting")
    assert lost["delay_ms"] <= 250 and lost["held_ms"] >= 0
    c.say("between")
    back = c.next("resumed")
    assert back["session"] == opened["session"] and back["away_ms"] >= 0
    assert c.message() == "between"
    c.say("after")
    assert c.message() == "after"
    code, events = c.finish()
    assert code == 0
    assert c.kinds() == ["open", "message", "reconnecting", "resumed", "message", "message", "close"]
    assert len(g.wait_endings(1)) == 1 and g.ending()["cause"] == "client_close"


def test_what_was_sent_while_the_gateway_was_away_is_handed_back_when_it_forgot_the_session(echo, gateway, connect):
    first = gateway(echo.url)
    c = connect(first.url + "/")
    c.next("open")
    c.say("one")
    assert c.message() == "one"
    first.process.signal(9)
    assert c.next("reconnecting")["cause"] in ("connection_reset", "connection_ended")
    first.stopped = True
    c.say("two")
    wait_for(lambda: c.popen.poll() is None, "it goes on")
    second = gateway(echo.url, flags=["--listen", f"127.0.0.1:{first.port}"])
    lost = c.next("lost", 40)
    assert lost["reason"] == "unknown" and lost["sent"] == 1 and lost["received"] == 1
    assert [m["data"] for m in lost["messages"] if not m["sent"]] == ["two"]
    assert c.next("open")["gateway"] is True
    c.say("three")
    assert c.message() == "three"  # and not two
    assert c.finish()[0] == 0
    second.stop()


def test_a_text_that_begins_with_0x01_comes_back_as_it_was_sent(echo, gateway, connect):
    c = connect(gateway(echo.url).url + "/")
    c.next("open")
    for text in ("\x01", "\x01\x01", "\x01ack n=5", "plain"):
        c.say(text)
        assert c.message() == text
    assert c.finish()[0] == 0


def test_a_message_far_beyond_the_credit_comes_back_whole(echo, gateway, connect):
    c = connect(gateway(echo.url).url + "/")
    c.next("open")
    texts = ["x" * 900_000, "y" * 10, "z" * 300_000]
    for text in texts:
        c.say(text)
    for text in texts:
        assert c.message(20) == text
    assert c.finish()[0] == 0


def test_a_goodbye_delivers_what_was_sent_before_it(gateway, backend):
    got = []

    def slow(connection):
        connection.upgrade()
        while True:
            f = connection.read_frame()
            got.append(f)
            if f.opcode == CLOSE:
                connection.send_frame(CLOSE, f.payload)
                return connection.read_end()
    b = backend(slow)
    done = run("-w", "0", gateway(b.url).url + "/", text="".join(f"{n}\n" for n in range(2000)))
    assert done.returncode == 0, done.stderr
    wait_for(lambda: got and got[-1].opcode == CLOSE, "the Close comes")
    assert [f.payload.decode() for f in got if f.opcode == TEXT] == [str(n) for n in range(2000)]
    assert got[-1].code == 1000


# ---- places without a gateway

def test_where_no_gateway_answers_it_is_an_ordinary_websocket_that_reconnects(backend, connect):
    b = backend()
    c = connect(ws(b))
    served = b.next()
    served.upgrade()
    served.send_text("\x01hello you")
    assert c.next("open")["gateway"] is False
    assert c.message() == "\x01hello you"
    c.say("\x01as it is")
    served.expect_text("\x01as it is")
    served.reset()
    lost = c.next("lost")
    assert (lost["reason"], lost["sent"], lost["received"], lost["messages"]) == ("no_gateway", 1, 1, [])
    c.next("reconnecting")
    c.say("queued")
    served = b.next()
    served.upgrade()
    served.send_text("hi")
    served.expect_text("queued")
    assert c.next("open")["gateway"] is False
    served.send_close(1000, b"bye")
    close = c.next("close")
    assert (close["cause"], close["who"], close["code"], close["reason"]) == ("backend_close", "backend", 1000, "bye")


def test_a_server_that_refuses_the_offers_gets_none_for_a_while(backend, connect):
    b = backend()
    c = connect("-s", "chat", ws(b))
    first = b.next()
    assert first.head.get("sec-websocket-protocol").startswith("hf1.o.")
    first.answer(400, b"what is hf1?")
    for _ in range(2):
        served = b.next()
        assert served.head.get("sec-websocket-protocol") == "chat"
        served.upgrade([("Sec-WebSocket-Protocol", "chat")])
        opened = c.next("open")
        assert opened["protocol"] == "chat" and opened["gateway"] is False
        served.reset()
        c.next("reconnecting")


def test_a_refusal_for_lack_of_credentials_is_no_reason_to_leave_the_offers_out(backend, connect):
    b = backend(lambda s: s.answer(401))
    c = connect("--retry", ws(b))
    assert c.next("reconnecting")["http"] == 401
    c.next("reconnecting")
    assert all(s.head.get("sec-websocket-protocol").endswith(", hf1") for s in b.connections)


def test_a_server_that_takes_the_first_offer_whatever_it_is_is_no_gateway_at_once(backend, connect):
    b = backend()
    c = connect("-s", "chat", ws(b))
    first = b.next()
    served = first.upgrade([("Sec-WebSocket-Protocol", first.head.get("sec-websocket-protocol").split(",")[0])])
    opened = c.next("open")
    assert opened["gateway"] is False and opened["protocol"] == ""
    served.send_text("without a word of hello")
    assert c.next("message")["data"] == "without a word of hello"


def test_a_server_that_agrees_to_hf1_and_says_nothing_twice_is_no_gateway(backend, connect):
    b = backend()
    c = connect("--retry", ws(b))
    agreed = [("Sec-WebSocket-Protocol", "hf1")]
    first = b.next().upgrade(agreed)
    assert c.next("reconnecting")["cause"] == "hello_timeout"
    assert first.read_frame().code == 4499
    served = b.next().upgrade(agreed)
    opened = c.next("open")
    assert opened["gateway"] is False and opened["protocol"] == ""
    served.send_text("late")
    assert c.message() == "late"


def test_a_daphne_application_sees_an_ordinary_client(inbox, connect):
    c = connect(inbox.url.replace("http", "ws", 1) + "/ws/inbox/?token=none")
    done = c.popen.wait(15)
    assert done == 3  # it closes or refuses who has no token


def test_without_a_gateway_messages_are_compressed(backend, connect):
    b = backend()
    c = connect(ws(b))
    served = b.next()
    assert served.head.get("sec-websocket-extensions") == "permessage-deflate; client_max_window_bits"
    served.upgrade([("Sec-WebSocket-Extensions", "permessage-deflate")])
    c.next("open")
    c.say("a" * 1000)
    f = served.read_frame()
    assert f.rsv == 4 and len(f.payload) < 50
    served.send_frame(TEXT, f.payload, rsv=4)
    assert c.message() == "a" * 1000


def test_binary_messages_are_told_in_base64_and_printed_in_hexadecimal(backend, connect):
    b = backend()
    c = connect(ws(b))
    served = b.next()
    served.upgrade()
    c.next("open")
    served.send_frame(BINARY_FRAME, b"\x00\xff")
    got = c.next("message")
    assert (got["type"], base64.b64decode(got["base64"])) == ("binary", b"\x00\xff")


def test_of_several_endpoints_one_that_answers_is_taken(echo, connect):
    c = connect(f"ws://127.0.0.1:{free_port()}/", ws(echo) + "/second", "--retry")
    assert c.next("reconnecting")["cause"] == "connection_refused"
    assert c.next("open")["url"].endswith("/second")


def test_a_unix_socket_is_an_endpoint(backend, connect, short_folder):
    b = backend(raw.echo, path=short_folder / "s")
    c = connect(f"unix:{short_folder / 's'}:/here")
    c.next("open")
    assert b.connections[0].head.target == "/here"
    c.say("hi")
    assert c.message() == "hi"


# ---- TLS

def test_a_certificate_is_verified_and_its_name_too(authority, backend, run_folder):
    b = backend(raw.echo, tls=authority.server_context("localhost"))
    url = f"wss://localhost:{b.address[1]}/"
    trusted = run("--cacert", authority.cert, "-x", "hi", "-w", "0.3", url)
    assert (trusted.returncode, trusted.stdout) == (0, "hi\n"), trusted.stderr
    unknown = run("-x", "hi", url)
    assert unknown.returncode == 3 and "tls_failed" in unknown.stderr
    other_name = run("--cacert", authority.cert, "-x", "hi", f"wss://127.0.0.1:{b.address[1]}/")
    assert other_name.returncode == 3 and "tls_failed" in other_name.stderr
    careless = run("-k", "-x", "hi", "-w", "0.3", f"wss://127.0.0.1:{b.address[1]}/")
    assert (careless.returncode, careless.stdout) == (0, "hi\n")


def test_a_session_over_tls_is_resumed_as_any_other(authority, echo, gateway, connect, scene, tmp_path):
    cert, key = authority.leaf("127.0.0.1")
    port = free_port()
    gateway(echo.url, config={"listen": [{"address": f"127.0.0.1:{port}", "tls": [{"cert": str(cert), "key": str(key)}]}]})
    box = Box(tmp_path, port, "--max-age", "0")
    scene.callback(box.stop)
    c = connect("--cacert", authority.cert, f"wss://127.0.0.1:{box.port}/")
    assert c.next("open")["gateway"] is True
    for n in range(3):
        c.say(f"before {n}")
        assert c.message() == f"before {n}"
        box.ask("cut")
        c.say(f"during {n}")
        assert c.next("resumed")["away_ms"] < 5000
        assert c.message() == f"during {n}"
    assert c.finish()[0] == 0


def test_a_file_of_certificates_that_is_not_there_is_told():
    done = run("--cacert", "/no/such/file", "wss://127.0.0.1:1/")
    assert done.returncode == 3 and "/no/such/file" in done.stderr


# ---- proxies

class Proxy:
    """An HTTP proxy that knows CONNECT; answer: another one than 200."""

    def __init__(self, answer=None):
        self.answer, self.heads = answer, []
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.one, args=(sock,), daemon=True).start()

    def one(self, sock):
        head = b""
        while b"\r\n\r\n" not in head:
            got = sock.recv(4096)
            if not got:
                return
            head += got
        self.heads.append(head.decode())
        if self.answer:
            sock.sendall(self.answer)
            sock.close()
            return
        host, port = head.split(b" ")[1].decode().rsplit(":", 1)
        there = socket.create_connection((host.strip("[]"), int(port)))
        sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")

        def pump(a, b):
            try:
                while data := a.recv(65536):
                    b.sendall(data)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        threading.Thread(target=pump, args=(there, sock), daemon=True).start()
        pump(sock, there)


@pytest.fixture
def proxy(scene):
    def start(**how):
        p = Proxy(**how)
        scene.callback(p.sock.close)
        return p
    return start


def test_a_proxy_of_the_environment_is_asked_to_connect(echo, proxy):
    p = proxy()
    port = echo.address[1]
    env = {"http_proxy": f"http://us%40er:pass@127.0.0.1:{p.port}", "no_proxy": "elsewhere.example"}
    done = run("-x", "hi", "-w", "0.3", f"ws://127.0.0.1:{port}/", env=env)
    assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr
    head = p.heads[0]
    assert head.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n")
    assert f"Proxy-Authorization: Basic {base64.b64encode(b'us@er:pass').decode()}\r\n" in head
    done = run("-x", "hi", "-w", "0.3", f"ws://127.0.0.1:{port}/", env={**env, "no_proxy": "127.0.0.0/8"})
    assert done.stdout == "hi\n" and len(p.heads) == 1


def test_tls_goes_through_a_proxy_and_is_verified_as_without(authority, backend, proxy):
    b = backend(raw.echo, tls=authority.server_context("localhost"))
    p = proxy()
    words = ["--proxy", f"http://127.0.0.1:{p.port}", "-x", "hi", "-w", "0.3", f"wss://localhost:{b.address[1]}/"]
    done = run("--cacert", authority.cert, *words)
    assert (done.returncode, done.stdout) == (0, "hi\n"), done.stderr
    assert p.heads[0].startswith(f"CONNECT localhost:{b.address[1]} ")
    done = run(*words)
    assert done.returncode == 3 and "tls_failed" in done.stderr


def test_a_proxy_that_refuses_is_told_as_such(proxy):
    p = proxy(answer=b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
    done = run("--proxy", f"http://127.0.0.1:{p.port}", "ws://app.example/")
    assert done.returncode == 3 and "proxy_refused (network, HTTP 407)" in done.stderr
    done = run("--proxy", f"http://127.0.0.1:{free_port()}", "ws://app.example/")
    assert done.returncode == 3 and "connection_refused" in done.stderr


# ---- a person at a terminal

def test_lines_are_edited_and_what_comes_meanwhile_is_printed_above_them(backend, terminal):
    b = backend()
    t = terminal("--no-color", ws(b))
    served = b.next()
    served.upgrade()
    t.wait("Connected to")
    t.wait("> ")
    t.type("hello wörld")
    t.wait("wörld")
    served.send_text("an interruption")
    shown = t.wait("> hello wörld")
    assert "\r\x1b[J< an interruption" in shown
    t.type("\x1b[D\x1b[D!\x01> \r")  # two to the left, then the beginning
    served.expect_text("> hello wör!ld")
    t.type("\x1b[A\r")  # the line before
    served.expect_text("> hello wör!ld")
    t.type("\x03")
    served.expect_close(1000)
    served.send_close(1000)
    served.close()
    assert t.finish() == 0


def test_a_message_cannot_command_the_terminal(backend, terminal):
    b = backend()
    t = terminal("--no-color", ws(b))
    served = b.next()
    served.upgrade()
    t.wait("> ")
    served.send_text("\x1b]0;title\x07\x9b31m\x7f")
    shown = t.wait("\\x7f")
    assert "\\x1b]0;title\\x07" in shown and "\x1b]0" not in shown and "\x9b" not in shown


def test_the_end_of_input_closes_in_order(backend, terminal):
    b = backend()
    t = terminal("--no-color", ws(b))
    served = b.next()
    served.upgrade()
    t.wait("> ")
    t.type("\x04")
    served.expect_close(1000)
    served.send_close(1000)
    served.close()
    assert t.finish() == 0
    assert b"Disconnected: closed (client, code 1000)" in t.screen
