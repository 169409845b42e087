# SPDX-License-Identifier: Apache-2.0
"""libholdfast as a program gets it: installed, found by pkg-config, compiled alone, with no name but its own; its manual page; and what its
calls answer."""
import ctypes as c
import os
import re
import socket
import subprocess
import threading
import time

import pytest
from harness import hf1, raw, tokens
from harness import library as h
from harness.connect import environment
from harness.gateway import ROOT
from harness.process import free_port, wait_for

HEADER = (ROOT / "include" / "holdfast.h").read_text()
PLAIN = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.S)
FUNCTIONS = sorted(set(re.findall(r"\b(holdfast_\w+)\(", re.sub(r"typedef[^;]*;", "", PLAIN))))
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror"]


def ws(backend):
    return backend.url.replace("http", "ws", 1)


# ---- installed

@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """What `make install` puts under a DESTDIR."""
    root = tmp_path_factory.mktemp("install")
    done = subprocess.run(["make", "-s", "install", f"DESTDIR={root}", "PREFIX=/usr"], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def pkg_config(tree, *words):
    env = {**os.environ, "PKG_CONFIG_LIBDIR": f"{tree}/usr/lib/pkgconfig:" + system_path(), "PKG_CONFIG_SYSROOT_DIR": ""}
    done = subprocess.run(["pkg-config", f"--define-variable=prefix={tree}/usr", *words, "holdfast"], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def system_path():
    return subprocess.run(["pkg-config", "--variable=pc_path", "pkg-config"], capture_output=True, text=True).stdout.strip()


def compile_against(tree, source, out, *flags):
    done = subprocess.run(["cc", "-std=c11", "-D_POSIX_C_SOURCE=200809L", *WARNINGS, source, "-o", out, *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


def test_the_installed_tree_holds_program_library_header_and_manual(tree):
    for name in ("bin/holdfast", "include/holdfast.h", "lib/libholdfast.a", "lib/libholdfast.so", "lib/libholdfast.so.0",
                 "lib/pkgconfig/holdfast.pc", "share/man/man1/holdfast-connect.1", "share/man/man3/holdfast.3",
                 "share/doc/holdfast/examples/echo.c"):
        assert (tree / "usr" / name).exists(), name
    version = re.search(r"version: '([\d.]+)'", (ROOT / "meson.build").read_text()).group(1)
    assert pkg_config(tree, "--modversion") == [version]
    h.library().holdfast_version.restype = c.c_char_p
    assert h.library().holdfast_version().decode() == version


def test_an_example_is_compiled_with_pkg_config_and_talks(tree, tmp_path, echo, gateway):
    program = compile_against(tree, tree / "usr/share/doc/holdfast/examples/echo.c", tmp_path / "echo",
                              *pkg_config(tree, "--cflags", "--libs"))
    env = environment({"LD_LIBRARY_PATH": f"{tree}/usr/lib"})
    for url in (ws(echo), gateway(echo.url).url + "/"):
        done = subprocess.run([program, url, "hello"], capture_output=True, text=True, timeout=10, env=env)
        assert (done.returncode, done.stdout) == (0, "hello\n"), done


def test_the_static_library_needs_no_other_of_ours(tree, tmp_path, echo):
    flags = [flag for flag in pkg_config(tree, "--cflags", "--libs", "--static") if flag != "-lholdfast"]
    program = compile_against(tree, tree / "usr/share/doc/holdfast/examples/poll.c", tmp_path / "poll",
                              f"{tree}/usr/lib/libholdfast.a", *flags)
    assert "libholdfast" not in subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    talk = subprocess.Popen([program, ws(echo)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment())
    talk.stdin.write(b"over poll\n")
    talk.stdin.flush()
    assert talk.stdout.readline() == b"over poll\n"
    talk.stdin.close()
    assert talk.wait(10) == 0
    talk.stdout.close()


@pytest.mark.parametrize("compiler,language,standard", [("cc", "c", "c99"), ("cc", "c", "c17"), ("c++", "c++", "c++11"),
                                                        ("c++", "c++", "c++20"), ("clang", "c", "c11")])
def test_the_header_compiles_alone(tree, tmp_path, compiler, language, standard):
    if subprocess.run(["which", compiler], capture_output=True).returncode != 0:
        pytest.skip(f"no {compiler} here")
    source = tmp_path / "alone"
    source.write_text("#include <holdfast.h>\nint main(void) { return (int)HOLDFAST_OK; }\n")
    done = subprocess.run([compiler, "-x", language, f"-std={standard}", *WARNINGS, "-fsyntax-only", f"-I{tree}/usr/include", source],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def symbols(path, *words):
    text = subprocess.run(["nm", "--defined-only", *words, str(path)], capture_output=True, text=True, check=True).stdout
    return {line.split()[2].split("@")[0] for line in text.splitlines() if len(line.split()) == 3}


def test_the_libraries_show_the_functions_of_the_header_and_nothing_else(tree):
    assert len(FUNCTIONS) > 40
    assert symbols(tree / "usr/lib/libholdfast.so", "-D") - {"HOLDFAST_0"} == set(FUNCTIONS)
    assert symbols(tree / "usr/lib/libholdfast.a", "-g") == set(FUNCTIONS)


def test_the_manual_page_names_every_function_event_and_cause():
    page = (ROOT / "man" / "holdfast.3").read_text().replace("\\-", "-")
    for function in FUNCTIONS:
        assert function in page, function
    for kind in h.KINDS.values():
        assert f"\n.B {kind}\n" in page, kind
    table = (ROOT / "src" / "client" / "cause.h").read_text().replace("\\\n", "")
    rows = re.findall(r"\brow\(\s*[A-Z_]+,\s*(\w+),\s*(\w+),", table)
    assert len(rows) == len(re.findall(r"\brow\(\s*[A-Z_]+,", table)) > 20
    for name, who in rows:
        assert re.search(rf"^{name} +{who} +\w", page, re.M), name


def test_the_pages_have_no_fault_that_groff_sees():
    if subprocess.run(["which", "groff"], capture_output=True).returncode != 0:
        pytest.skip("no groff here")
    for page in ("holdfast.3", "holdfast-connect.1"):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", ROOT / "man" / page], capture_output=True, text=True)
        assert done.stderr == "", done.stderr


# ---- what calls answer

@pytest.fixture
def client(scene):
    """client(url, **how): one with a thread of its own."""
    def start(url, **how):
        one = h.Client(url, **how)
        scene.callback(one.free)
        return one
    return start


def test_send_says_sent_queued_full_and_what_else(client, backend):
    b = backend()
    one = client(ws(b), options=lambda lib, o: lib.holdfast_options_set_queue(o, c.c_uint64(2), c.c_uint64(1000)))
    assert [one.send(text) for text in ("one", "two", "three")] == ["queued", "queued", "full"]
    assert one.send(b"\xff") == "full"
    served = b.next().upgrade()
    served.send_text("go")
    served.expect_text("one")
    served.expect_text("two")
    one.next("message")
    assert one.send("four") == "sent"
    served.expect_text("four")
    assert one.send_text(b"\xff\xfe") == "not_utf8"
    one.close(3000, "enough")
    assert one.send("five") == "not_open"
    served.expect_close(3000, b"enough")
    served.send_close(3000, b"enough")
    close = one.next("close")["record"]
    assert (close["cause"], close["who"], close["code"], close["reason"]) == ("closed", "client", 3000, "enough")
    assert one.send("six") == "not_open"


def test_a_message_above_what_the_gateway_takes_is_refused_and_nothing_else_suffers(client, echo, gateway):
    one = client(gateway(echo.url, config={"message_max": "1KiB"}).url + "/")
    one.next("open")
    assert one.send("x" * 1025) == "too_big"
    assert one.send("y" * 1024) == "sent"
    assert one.next("message")["data"] == "y" * 1024
    assert one.kinds()["reconnecting"] == 0


def test_what_was_queued_before_the_limit_was_known_is_handed_back_alone(client, echo, gateway):
    one = client(gateway(echo.url, config={"message_max": "1KiB"}).url + "/")
    assert one.send("x" * 2000) == "queued" and one.send("small") == "queued"
    lost = one.next("lost")["lost"]
    assert lost["reason"] == "too_big" and lost["message_count"] == 1
    assert one.next("message")["data"] == "small"


def test_url_and_token_are_asked_for_before_every_attempt(client, backend):
    b = backend()
    asked = []
    lib = h.library()

    @c.CFUNCTYPE(None, c.c_void_p, c.c_void_p)
    def token(_, answer):
        asked.append("token")
        lib.holdfast_answer_set(c.c_void_p(answer), f"token-{asked.count('token')}".encode())

    @c.CFUNCTYPE(None, c.c_void_p, c.c_void_p)
    def url(_, answer):
        asked.append("url")
        if asked.count("url") != 2:  # the second time it does not know
            lib.holdfast_answer_set(c.c_void_p(answer), f"{ws(b)}/try/{asked.count('url')}".encode())

    def options(lib, o):
        return lib.holdfast_options_ask_token(o, token, None) or lib.holdfast_options_ask_url(o, url, None) or \
            lib.holdfast_options_set_backoff(o, c.c_int64(10), c.c_int64(50))
    one = client("ws://127.0.0.1:1/never", options=options)
    first = b.next()
    assert (first.head.target, first.head.get("authorization")) == ("/try/1", "Bearer token-1")
    first.reset()
    assert one.next("reconnecting")["record"]["cause"] == "connection_reset"
    assert one.next("reconnecting")["record"]["cause"] == "no_url"
    second = b.next()
    assert (second.head.target, second.head.get("authorization")) == ("/try/3", "Bearer token-2")
    second.upgrade()


def test_waits_grow_and_are_cut_short_by_a_call_to_hurry(client):
    one = client(f"ws://127.0.0.1:{free_port()}/",
                 options=lambda lib, o: lib.holdfast_options_set_backoff(o, c.c_int64(3_600_000), c.c_int64(3_600_000)))
    one.next("reconnecting")
    for attempts in (2, 3):
        h.library().holdfast_client_hurry(one.client)
        assert one.next("reconnecting")["attempts"] == attempts


def test_a_client_that_hears_nothing_pings_and_gives_up(client, backend):
    b = backend()
    one = client(ws(b), heartbeat=(200, 300))
    served = b.next().upgrade()
    one.next("open")
    ping = served.read_frame()
    assert ping.opcode == raw.PING
    served.send_frame(raw.PONG, ping.payload)
    assert served.read_frame().opcode == raw.PING  # not answered
    record = one.next("reconnecting")["record"]
    assert (record["cause"], record["who"], record["code"]) == ("heartbeat", "network", 1006)
    assert record["rtt_ms"] >= 0 and record["silent_rx_ms"] >= 290


def test_one_attempt_and_no_other_when_that_is_asked(client):
    one = client(f"ws://127.0.0.1:{free_port()}/", options=lambda lib, o: lib.holdfast_options_set_reconnect(o, c.c_bool(False)) and 0)
    assert one.send("never") in ("queued", "not_open")
    assert one.next("close")["record"]["cause"] == "connection_refused"


def test_close_before_the_first_connection_is_the_end_at_once(client):
    one = client("ws://192.0.2.1:9/")  # nobody answers there
    one.close(1000, "never mind")
    assert one.next("close", 2)["record"]["cause"] == "closed"


def test_stats_count(client, echo, gateway):
    class Stats(c.Structure):
        _fields_ = [(name, c.c_uint64) for name in ("received", "sent", "acked", "queued", "queued_bytes", "connections", "resumes",
                                                    "losses")] + [("rtt_ms", c.c_int64), ("next_attempt_ms", c.c_int64)]

    def stats(size=None):
        s = Stats()
        h.library().holdfast_client_stats(one.client, c.byref(s), c.c_size_t(size or c.sizeof(s)))
        return s
    one = client(gateway(echo.url).url + "/")
    one.next("open")
    for n in range(5):
        one.send(f"{n}")
    for n in range(5):
        one.next("message")
    wait_for(lambda: stats().acked == 5, "every message is acknowledged")
    s = stats()
    assert (s.received, s.sent, s.queued, s.queued_bytes, s.connections, s.losses) == (5, 5, 0, 0, 1, 0)
    assert stats(16).acked == 0  # an older program's struct was shorter


class Tap:
    """A TCP proxy that keeps what the server said."""

    def __init__(self, target):
        self.said = bytearray()
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port, self.target = self.sock.getsockname()[1], target
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                client, _ = self.sock.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            threading.Thread(target=self.pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self.pump, args=(server, client, self.said), daemon=True).start()

    @staticmethod
    def pump(a, b, kept):
        try:
            while data := a.recv(65536):
                if kept is not None:
                    kept += data
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def test_a_session_that_another_connection_took_over_does_not_come_back_by_itself(client, echo, gateway, scene):
    g = gateway(echo.url)
    tap = Tap(g.address)
    scene.callback(tap.sock.close)
    one = client(f"ws://127.0.0.1:{tap.port}/")
    one.next("open")
    one.send("mine")
    assert one.next("message")["data"] == "mine"
    thief = hf1.Session(g.address)
    thief.token = re.search(rb"token=([\w-]+)", bytes(tap.said)).group(1).decode()
    thief.epoch = int(re.search(rb"epoch=(\d+)", bytes(tap.said)).group(1))
    hello = thief.resume(received=0, attempt=50)
    assert hello.resumed == 1
    assert thief.message().payload == b"mine"
    record = one.next("close")["record"]
    assert (record["cause"], record["who"]) == ("superseded", "gateway")
    assert one.kinds()["reconnecting"] == 0


def test_fresh_credentials_are_given_in_band_and_answered(client, echo, gateway, keys):
    g = gateway(echo.url, config={"auth": "jwt", "jwt": {"keys": [{"alg": "HS256", "file": str(keys.public["HS256"])}]}})
    later = int(time.time()) + 5000
    one = client(g.url + "/", options=lambda lib, o: lib.holdfast_options_set_token(o, tokens.token(keys, lives=100).encode()))
    assert one.next("open")["gateway"]
    assert h.library().holdfast_client_authorize(one.client, tokens.token(keys, exp=later).encode()) == 0
    assert 0 <= one.next("authorized")["expires"] - later <= 60  # with the leeway for clocks
    assert h.library().holdfast_client_authorize(one.client, b"no token at all") == 0
    close = one.next("close")["record"]
    assert (close["cause"], close["who"]) == ("auth", "gateway")
