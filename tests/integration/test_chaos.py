# SPDX-License-Identifier: Apache-2.0
"""holdfast chaos: each toxic, as a client by hand sees it. Times are short; only what must not be earlier is held to the clock."""
import datetime
import json
import re
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from harness import raw
from harness.chaos import Chaos, ending
from harness.gateway import BINARY
from harness.process import wait_for

EARLY = 0.02  # the box's timers are that exact at most


@pytest.fixture
def box(tmp_path):
    """box(toxics, *words) starts one; all are stopped."""
    started = []

    def start(toxics, *words, **more):
        started.append(Chaos(tmp_path, *words, toxics=toxics, name=f"chaos{len(started)}", **more))
        return started[-1]
    yield start
    for one in started:
        one.stop()


def together(*tasks):
    """Runs them side by side; returns their values."""
    values = [None] * len(tasks)

    def run(i, task):
        try:
            values[i] = task()
        except BaseException as error:  # noqa: BLE001 - it is raised below
            values[i] = error
    threads = [threading.Thread(target=run, args=(i, task)) for i, task in enumerate(tasks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for value in values:
        if isinstance(value, BaseException):
            raise value
    return values


def beat(client, what, every=0.1, until=8.0):
    """Does what(client) again and again until the connection ends; returns what ending() does."""
    begun = time.monotonic()
    while time.monotonic() - begun < until:
        try:
            what(client)
        except OSError:
            return time.monotonic() - begun, "reset"
        took, how = ending(client, every)
        if how != "alive":
            return time.monotonic() - begun, how
    return None, "alive"


def ping(client):
    client.send_frame(raw.PING, b"x")


def message(client):
    client.send_text("hello")


# ---- idle timers --------------------------------------------------------------------------------------------------------------------

def test_an_idle_timer_ends_what_is_silent_and_spares_what_speaks(box):
    b = box("  - {type: idle_timeout, timeout: 500}\n")
    (silent, how), (_, pinged) = together(lambda: ending(b.client()), lambda: beat(b.client(), ping, until=1.0))
    assert how == "fin" and silent >= 0.5 - EARLY
    assert pinged == "alive"


def test_where_only_messages_count_pings_do_not_help(box):
    b = box("  - {type: idle_timeout, timeout: 500, counts: messages, direction: upstream}\n")
    (took, how), (_, lives) = together(lambda: beat(b.client(), ping), lambda: beat(b.client(), message, until=1.0))
    assert how == "fin" and took >= 0.5 - EARLY
    assert lives == "alive"


def test_with_a_timer_for_each_direction_both_must_be_fed(box):
    b = box("  - {type: idle_timeout, timeout: 500, direction: each}\n", "--backend", "silent")
    pong = lambda c: c.send_frame(raw.PONG, b"")  # noqa: E731 - bytes one way only
    (took, how), (_, lives) = together(lambda: beat(b.client(), pong), lambda: beat(b.client(), ping, until=1.0))
    assert how == "fin" and took >= 0.5 - EARLY
    assert lives == "alive"  # each ping is answered


def test_where_only_the_server_counts_a_client_that_speaks_dies(box):
    b = box("  - {type: idle_timeout, timeout: 500, direction: downstream, action: rst}\n", "--backend", "silent")
    took, how = beat(b.client(), message)
    assert how == "reset" and took >= 0.5 - EARLY


@pytest.mark.parametrize("action", ["silence", "forget"])
def test_a_forgotten_flow_says_nothing_until_somebody_sends(box, action):
    b = box(f"  - {{type: idle_timeout, timeout: 300, action: {action}}}\n")
    c = b.client()
    wait_for(lambda: b.acted("idle"), b.tail)
    c.silent(0.2)
    c.send_text("is anybody there")
    took, how = ending(c, 1.0)
    assert how == ("alive" if action == "silence" else "reset")
    new = b.client()
    new.send_text("new")
    new.expect_text("new")


def test_an_idle_timer_can_close_with_code_and_reason(box):
    b = box("  - {type: idle_timeout, timeout: 300, action: close, code: 4000, reason: bye}\n")
    b.client().expect_close(4000, "bye")


# ---- lifetimes and Close ------------------------------------------------------------------------------------------------------------

def test_a_lifetime_ends_busy_connections_too(box):
    b = box("  - {type: max_lifetime, lifetime: 600, action: close, code: 1001}\n")
    (busy, one), (silent, other) = together(lambda: beat(b.client(), message), lambda: ending(b.client()))
    assert one == other == 1001
    assert busy >= 0.6 - EARLY and silent >= 0.6 - EARLY


def test_jitter_scatters_lifetimes_and_a_seed_repeats_them(box):
    ages = []
    for _ in range(2):
        b = box("  - {type: max_lifetime, lifetime: 500, jitter: 300}\n")
        clients = [b.client() for _ in range(5)]
        wait_for(lambda: len(b.acted()) == 5, b.tail)
        ages.append([round(line["age_ms"] / 20) for line in sorted(b.lines("acted"), key=lambda line: line["link"])])
        for c in clients:
            c.close()
    assert max(ages[0]) - min(ages[0]) > 2
    assert all(abs(a - b) <= 8 for a, b in zip(*ages)), ages


def test_a_close_frame_comes_after_a_time_or_after_messages(box):
    b = box("  - {type: close_frame, after: 300, code: 1005}\n")
    c = b.client()
    f = c.read_data()
    assert f.opcode == raw.CLOSE and f.payload == b""
    b = box("  - {type: close_frame, messages: 3, code: 4003, reason: three}\n")
    c = b.client()
    for i in range(2):
        c.send_text(str(i))
        c.expect_text(str(i))
    c.send_text("2")
    c.expect_close(4003, "three")


# ---- limits -------------------------------------------------------------------------------------------------------------------------

def test_a_limiter_counts_messages_of_the_client_and_not_pings(box):
    b = box("  - {type: rate_limit, messages: 3, window: 60000}\n")
    c = b.client()
    for i in range(3):
        ping(c)
        c.send_text(str(i))
        c.expect_text(str(i))
    c.send_text("one too many")
    c.expect_close(1008, "rate limit")


def test_a_limiter_may_count_the_chunks_of_the_server(box):
    b = box("  - {type: rate_limit, messages: 5, window: 60000, counts: server}\n")
    c = b.client()
    c.send_text('{"stream":20}')
    chunks = 0
    while True:
        f = c.read_data()
        if f.opcode == raw.CLOSE:
            break
        chunks += 1
    assert (chunks, f.code) == (5, 1008)


@pytest.mark.parametrize("kind", ["fixed", "sliding", "bucket"])
def test_a_limiter_can_make_messages_wait(box, kind):
    b = box(f"  - {{type: rate_limit, messages: 2, window: 400, kind: {kind}, action: delay}}\n")
    c = b.client()
    begun = time.monotonic()
    c.send(b"".join(c.frame(raw.TEXT, str(i)) for i in range(5)))
    for i in range(5):
        c.expect_text(str(i))
    assert time.monotonic() - begun >= (0.8 if kind != "bucket" else 0.6) - EARLY


def test_a_limiter_can_drop_messages(box):
    b = box("  - {type: rate_limit, messages: 1, window: 0, action: drop}\n")
    c = b.client()
    c.send_text("first")
    c.send(c.frame(raw.TEXT, "sec", fin=False) + c.frame(raw.PING, b"p") + c.frame(raw.CONT, "ond"))
    c.expect_text("first")
    f = c.read_frame()
    assert (f.opcode, f.payload) == (raw.PONG, b"p")
    c.silent(0.2)


def test_the_largest_message_passes_and_a_larger_one_ends_it(box):
    b = box("  - {type: max_message, bytes: 1000}\n")
    c = b.client()
    c.send_text("x" * 1000)
    c.expect_text("x" * 1000)
    c.send(c.frame(raw.TEXT, "x" * 600, fin=False) + c.frame(raw.CONT, "x" * 401))
    c.expect_close(1009)
    down = box("  - {type: max_message, bytes: 10, stream: downstream, action: rst}\n").client()
    down.send_text("0123456789")
    down.expect_text("0123456789")
    down.send_text("0123456789a")
    assert ending(down)[1] == "reset"


# ---- pings and pongs ----------------------------------------------------------------------------------------------------------------

def without_pongs(client, patience=8.0):
    """ending() of a client that answers no ping; and how many came."""
    begun, pings = time.monotonic(), 0
    try:
        while True:
            f = client.read_frame(patience)
            pings += f.opcode == raw.PING
            if f.opcode == raw.CLOSE:
                return time.monotonic() - begun, f.code, pings
    except raw.Ended:
        return time.monotonic() - begun, client.ended, pings


def empty_pongs(client):
    begun = time.monotonic()
    while True:
        f = client.read_frame(8)
        if f.opcode == raw.PING:
            client.send_frame(raw.PONG, b"")
        if f.opcode == raw.CLOSE:
            return time.monotonic() - begun, f.code


def test_a_watchdog_like_uvicorns_wants_the_same_payload_back(tmp_path):
    with Chaos(tmp_path, "--profile", "uvicorn-ping", "--scale", "0.02") as b:
        (ignored, code, pings), (emptied, other), (_, lives), (spoken, talker) = together(
            lambda: without_pongs(b.client()), lambda: empty_pongs(b.client()), lambda: ending(b.client(), 1.0),
            lambda: without_pongs_but(b.client(), message))
        assert (code, other, lives, talker) == (1011, 1011, "alive", 1011)
        assert pings == 1 and min(ignored, emptied, spoken) >= 0.8 - EARLY


def without_pongs_but(client, what):
    """Answers no ping, but does this again and again."""
    begun = time.monotonic()
    while True:
        what(client)
        try:
            f = client.read_frame(0.1)
        except raw.Timeout:
            continue
        if f.opcode == raw.CLOSE:
            return time.monotonic() - begun, f.code


def test_a_watchdog_like_daphnes_sends_no_ping_to_who_speaks(tmp_path):
    with Chaos(tmp_path, "--profile", "daphne-ping", "--scale", "0.02") as b:
        (took, how, pings), (_, talker) = together(lambda: without_pongs(b.client()), lambda: beat(b.client(), message, until=1.0))
        assert how == "reset" and took >= 1.0 - EARLY and pings == 2
        assert talker == "alive"


def test_our_own_pings_stay_between_box_and_client(box):
    """The upstream never sees a pong it did not ask for."""
    backend = raw.Backend()
    b = box("  - {type: watchdog, interval: 100, timeout: 5000}\n", upstream=backend.url)
    c = raw.Client(b.address)
    c.send(raw.request())
    served = backend.next()
    served.upgrade()
    c.read_head()
    for _ in range(3):
        f = c.read_frame()
        assert f.opcode == raw.PING
        c.send_frame(raw.PONG, f.payload)
    c.send_text("and now")
    f = served.read_frame()
    assert (f.opcode, f.payload) == (raw.TEXT, b"and now")


def test_a_hop_that_drops_pongs_kills_who_answers(tmp_path):
    with Chaos(tmp_path, "--profile", "pong-stripper", "--scale", "0.02") as b:
        took, how = ending(b.client())
        assert how == 1011 and took >= 0.8 - EARLY


def test_a_hop_may_empty_pings_or_answer_them_itself(box):
    backend = raw.Backend()
    for mode, seen in (("empty", b""), ("answer", None)):
        b = box(f"  - {{type: rewrite_pings, mode: {mode}}}\n", upstream=backend.url)
        c = raw.Client(b.address)
        c.send(raw.request())
        served = backend.next()
        served.upgrade()
        c.read_head()
        served.send_frame(raw.PING, b"payload")
        if seen is None:
            f = served.read_frame()
            assert (f.opcode, f.payload) == (raw.PONG, b"payload") and f.mask is not None
            served.send_text("end")
            assert c.read_frame().opcode == raw.TEXT
        else:
            f = c.read_frame()
            assert (f.opcode, f.payload) == (raw.PING, seen)


def test_the_first_ping_of_the_server_may_kill(box):
    b = box("  - {type: watchdog, interval: 300, timeout: 5000}\n  - {type: kill_on_ping, delay: 100}\n")
    c = b.client()
    assert c.read_frame().opcode == raw.PING
    assert ending(c)[1] == "reset"


# ---- black holes, halves, buffers ---------------------------------------------------------------------------------------------------

def test_a_black_hole_that_ends_delivers_late_what_waited(box):
    b = box("  - {type: blackhole, after: 200, for: 900}\n")
    c = b.client()
    c.send_text("before")
    c.expect_text("before")
    wait_for(lambda: b.acted("blackhole"), b.tail)
    c.send_text("late")
    c.silent(0.1)
    c.expect_text("late")
    assert b.acted("blackhole") == ["nothing passes", "it passes again"]


def test_a_black_hole_for_ever_swallows_what_comes(box):
    b = box("  - {type: blackhole, after: 200, direction: upstream}\n", "--backend", "push")
    c = b.client()
    wait_for(lambda: b.acted("blackhole"), b.tail)
    ping(c)
    f = c.read_frame()
    assert f.opcode == raw.TEXT  # the other direction still passes


def test_a_handover_silences_the_old_and_spares_the_new(box):
    b = box("  - {type: handover, period: 1000}\n")
    old = b.client()
    wait_for(lambda: b.acted("handover"), b.tail)
    new = b.client()
    new.send_text("new")
    new.expect_text("new")
    old.send_text("old")
    old.silent(0.2)


def test_a_half_closed_connection_still_carries_the_other_way(box):
    backend = raw.Backend()
    b = box("  - {type: half_close, after: 200}\n", upstream=backend.url)
    c = raw.Client(b.address)
    c.send(raw.request())
    served = backend.next()
    served.upgrade()
    c.read_head()
    c.read_end()
    assert c.ended == "fin"
    c.send_text("still")
    assert served.read_frame().payload == b"still"


def test_a_buffering_proxy_holds_until_there_is_enough(box):
    b = box("  - {type: buffer, bytes: 100}\n")
    c = b.client()
    c.send_text("x" * 40)
    c.silent(0.3)
    c.send_text("y" * 80)
    c.expect_text("x" * 40)
    c.expect_text("y" * 80)
    c = box("  - {type: buffer, bytes: 0, time: 300}\n").client()
    begun = time.monotonic()
    c.send_text("z")
    c.expect_text("z")
    assert time.monotonic() - begun >= 0.3 - EARLY


# ---- restarts and blocked servers ---------------------------------------------------------------------------------------------------

def test_a_restart_ends_all_at_once_and_nobody_listens_for_a_while(box):
    b = box("  - {type: restart, period: 60000, offset: 800, down: 500, action: close, code: 1012}\n")
    clients = []
    for _ in range(4):
        clients.append(b.client())
        time.sleep(0.05)
    ends = together(*[lambda c=c: (ending(c)[1], time.monotonic()) for c in clients])
    assert {how for how, _ in ends} == {1012}
    acted = b.lines("acted")
    when = [datetime.datetime.fromisoformat(line["time"].rstrip("Z")).timestamp() for line in acted]
    ages = [line["age_ms"] / 1000 for line in acted]
    assert len(acted) == 4 and max(ages) - min(ages) >= 0.15 > 0.1 > max(when) - min(when), acted
    wait_for(lambda: b.lines("stopped"), b.tail)
    try:
        raw.Client(b.address).close()
        assert len(b.lines("listening")) == 2  # a slow machine: it is up again already
    except ConnectionRefusedError:
        pass
    wait_for(lambda: len(b.lines("listening")) == 2, b.tail)
    b.client().close()


def test_a_blocked_server_answers_later_what_was_asked_meanwhile(box):
    b = box("  - {type: blocked, after: 200, for: 600}\n")
    c = b.client()
    wait_for(lambda: "blocked" in b.acted(), b.tail)
    c.send_text("are you there")
    begun = time.monotonic()
    c.expect_text("are you there")
    assert "no longer blocked" in b.acted()
    assert time.monotonic() - begun < 8


@pytest.mark.parametrize("when", ["after: 200", "period: 1000"])
def test_a_killed_worker_resets_who_has_spoken_and_ends_the_silent(box, when):
    b = box(f"  - {{type: blocked, {when}, for: 800, end: ends}}\n")
    silent, speaker = b.client(), b.client()
    wait_for(lambda: b.acted().count("blocked") == 2, b.tail)
    speaker.send_text("hello")
    assert ending(silent)[1] == "fin"
    assert ending(speaker)[1] == "reset"


def test_a_hop_gives_up_a_server_that_does_not_read(box):
    b = box("  - {type: blocked, after: 0, for: 0, give_up: 300}\n")
    quiet, speaker = b.client(), b.client()
    speaker.send_text("hello")
    took, how = ending(speaker)
    assert how == "fin" and took >= 0.3 - EARLY
    assert ending(quiet, 0.3)[1] == "alive"


# ---- the handshake ------------------------------------------------------------------------------------------------------------------

def test_a_refusal_has_status_headers_and_body(box):
    b = box('  - {type: refuse, status: 403, headers: "X-Why: because\\nContent-Type: text/plain", body: "no entry"}\n')
    c = raw.Client(b.address)
    head = c.ask()
    assert head.status == 403 and head.get("x-why") == "because" and c.read_body() == b"no entry"
    c.expect_end()
    assert c.ended == "fin"
    late = raw.Client(box("  - {type: refuse, status: 0, delay: 300}\n").address)
    begun = time.monotonic()
    late.send(raw.request())
    late.expect_end()
    assert time.monotonic() - begun >= 0.3 - EARLY


def test_a_stripped_upgrade_reaches_the_backend_as_an_ordinary_request(box):
    backend = raw.Backend()
    b = box("  - {type: strip_upgrade}\n", upstream=backend.url)
    c = raw.Client(b.address)
    c.send(raw.request())
    served = backend.next()
    assert served.head.get("upgrade") is None and served.head.get("connection") == "close"
    served.answer(426, b"upgrade required")
    assert c.read_head().status == 426


# ---- plain bytes, and toxiproxy's toxics ---------------------------------------------------------------------------------------------

@pytest.fixture
def echo():
    """A TCP echo server: its address."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=pump, args=(sock,), daemon=True).start()

    def pump(sock):
        with sock:
            try:
                while data := sock.recv(65536):
                    sock.sendall(data)
            except OSError:
                pass
    threading.Thread(target=serve, daemon=True).start()
    yield "127.0.0.1:%d" % server.getsockname()[1]
    server.close()


def tcp(b):
    sock = socket.create_connection(b.address, 8)
    sock.settimeout(8)
    return sock


def receive(sock, n):
    data = b""
    while len(data) < n:
        more = sock.recv(n - len(data))
        if not more:
            break
        data += more
    return data


def test_bytes_that_are_no_websocket_pass_as_they_are(box, echo):
    b = box("  - {type: idle_timeout, timeout: 60000}\n", upstream=echo)
    for words in (b"hello", b"GET nothing of the kind\r\n", b"\x00\xff" * 40000, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n"):
        with tcp(b) as sock:
            threading.Thread(target=sock.sendall, args=(words,)).start()
            assert receive(sock, len(words)) == words


def test_latency_bandwidth_slicer_and_slow_close(box, echo):
    late, narrow, sliced, slow = (box(toxics, upstream=echo) for toxics in (
        "  - {type: latency, latency: 300, jitter: 50}\n", "  - {type: bandwidth, rate: 100}\n",
        "  - {type: slicer, average_size: 10, size_variation: 3, delay: 10000}\n", "  - {type: slow_close, delay: 400}\n"))

    def one(b, data):
        with tcp(b) as sock:
            begun = time.monotonic()
            sock.sendall(data)
            assert receive(sock, len(data)) == data
            took = time.monotonic() - begun
            sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b""
            return took, time.monotonic() - begun - took
    (latency, _), (bandwidth, _), (pieces, _), (_, close) = together(
        lambda: one(late, b"x"), lambda: one(narrow, b"x" * 50000), lambda: one(sliced, b"x" * 200), lambda: one(slow, b"x"))
    assert latency >= 0.25 - EARLY
    assert bandwidth >= 0.5 - EARLY
    assert pieces >= 0.13
    assert close >= 0.4 - EARLY


def test_timeout_reset_peer_limit_data_and_a_rate_of_nothing(box, echo):
    hole, reset, limit, nothing = (box(toxics, upstream=echo) for toxics in (
        "  - {type: timeout, timeout: 300}\n", "  - {type: reset_peer, timeout: 200}\n", "  - {type: limit_data, bytes: 7}\n",
        "  - {type: bandwidth, rate: 0}\n"))
    with tcp(hole) as sock:
        begun = time.monotonic()
        sock.sendall(b"x")
        assert sock.recv(1) == b"" and time.monotonic() - begun >= 0.2
    with tcp(reset) as sock:
        sock.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with tcp(limit) as sock:
        sock.sendall(b"0123456789")
        assert receive(sock, 10) == b"0123456"
    with tcp(nothing) as sock:
        sock.sendall(b"x")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_a_lossy_network_loses_nothing_in_the_end(tmp_path):
    with Chaos(tmp_path, "--profile", "lossy-network", "--scale", "0.1") as b:
        c = b.client()
        for i in range(50):
            c.send_text(str(i))
        for i in range(50):
            c.expect_text(str(i))


# ---- the command --------------------------------------------------------------------------------------------------------------------

def chaos(*words):
    return subprocess.run([BINARY, "chaos", *words], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)


def test_a_profile_prints_as_a_file_that_loads_as_the_same(tmp_path):
    names = [line.split()[0] for line in chaos("--list").stdout.splitlines()]
    assert len(names) > 40 and {"none", "nginx-60s", "daphne-ping", "story-a-24s"} <= set(names)
    for name in ("none", "captive-portal"):
        printed = chaos("--profile", name, "--print").stdout
        (tmp_path / "p.yaml").write_text(printed)
        again = chaos("-c", str(tmp_path / "p.yaml"), "--print")
        assert (again.returncode, again.stdout) == (0, printed), again


def test_the_ground_truth_follows_what_is_set_and_scaled():
    ran = chaos("--profile", "uvicorn-ping", "--set", "watchdog.interval=10000", "--set", "watchdog.timeout=30s", "--scale", "0.1", "--ground-truth")
    truth = json.loads(ran.stdout)
    assert (truth["class"], truth["value"], truth["unit"], truth["scale"]) == ("pong_timeout", 4, "s", 0.1)
    assert truth["imitates"][0] == "uvicorn-ping-20-20"


@pytest.mark.parametrize("text, complaint", [
    ("toxics:\n  - type: nonsense\n", "p.yaml:2:11: type: \"nonsense\" is no toxic"),
    ("toxics:\n  - {type: latency, latency: soon}\n", "p.yaml:2:30: \"soon\" is refused: latency must be a number of milliseconds"),
    ("toxics:\n  - {type: latency, latencies: 1}\n", "p.yaml:2:21: latency has no attribute \"latencies\""),
    ("toxics: [{type: restart, period: 0}]\n", "p.yaml:1:10: restart: period must not be 0"),
    ("expect: {class: idle_timer, value: idle.timeout}\n", "p.yaml:1:9: expect: value must be a number or TOXIC.ATTRIBUTE"),
    ("toxics: [\n", "p.yaml:2:1: not YAML"),
    ("colour: red\n", "p.yaml:1:1: \"colour\" is not a known key"),
])
def test_a_faulty_profile_is_refused_with_line_and_column(tmp_path, text, complaint):
    (tmp_path / "p.yaml").write_text(text)
    ran = chaos("-c", str(tmp_path / "p.yaml"), "--print")
    assert ran.returncode == 2 and complaint in ran.stderr and ran.stdout == "", ran


@pytest.mark.parametrize("words", [
    ["--profile", "nowhere"], ["--scale", "0"], ["--scale", "fast"], ["--set", "latency"], ["--set", "latency.latency=1"], ["--backend", "tcp"],
    ["--seed", "-1"], ["--for", "5"], ["--nonsense"], ["extra"], ["--profile", "none", "-c", "x"], ["--upstream", "a:1", "--backend", "echo"],
    ["--listen", "nowhere"], ["-c", "/does/not/exist"], ["--api", "here"],
])
def test_a_mistake_in_the_words_is_exit_code_2(words):
    ran = chaos(*words)
    assert ran.returncode == 2 and ran.stderr != "" and ran.stdout == "", ran


def test_the_manual_has_every_option_toxic_attribute_and_profile():
    page = (Path(__file__).parents[2] / "man" / "holdfast-chaos.1").read_text().replace("\\-", "-")
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", chaos("--help").stdout))
    assert len(options) > 15 and not [option for option in options if option not in page]
    name = None
    for line in chaos("--toxics").stdout.splitlines():
        word, what = line.strip().split(" ", 1)
        if line.startswith(" "):
            assert f".IR {word} :\n{what.strip()}." in page, line
        else:
            name = word.rstrip(":")
            assert f".B {name}\n{what[0].upper()}{what[1:]}." in page, line
    for line in chaos("--list").stdout.splitlines():
        name, about = line.split(None, 1)
        assert f".B {name}\n{about[0].upper()}{about[1:]}." in page, line


def test_it_ends_by_itself_and_says_what_was(tmp_path):
    ran = chaos("--for", "200ms", "--json")
    records = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0 and records[-1]["type"] == "sum" and records[-1]["accepted"] == 0
    assert all(record["v"] == 1 and "time" in record for record in records)


def test_a_thousand_connections_at_once(box):
    b = box("  - {type: idle_timeout, timeout: 60000}\n  - {type: latency, latency: 5}\n")
    clients = []
    for _ in range(1000):
        c = raw.Client(b.address)
        c.send(raw.request())
        clients.append(c)
    for c in clients:
        assert c.read_head().status == 101
        message(c)
    for c in clients:
        c.expect_text("hello")
    for c in clients:
        c.close()
    wait_for(lambda: b.line("ended") and len(b.lines("ended")) == 1000, b.tail, 20)
