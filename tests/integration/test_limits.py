# SPDX-License-Identifier: Apache-2.0
"""Limits count whole messages of clients and nothing else; excess waits by default, and nothing is lost by waiting."""
import os
import threading
import time

import pytest

from harness import raw
from harness.raw import BINARY, CONT, PING, TEXT, frame


def limits(**keys):
    return {"limits": keys}


CLOSE_AT_20 = limits(messages_per_minute=20, excess_messages="close")


# ---- what is not counted

def test_a_hundred_thousand_streamed_chunks_never_trip_a_limit_of_one_message_a_minute(joined):
    _, client, served = joined(config=limits(messages_per_minute=1, excess_messages="close"))
    data = b"".join(served.frame(TEXT, f"chunk {i}") for i in range(100_000))
    threading.Thread(target=served.send, args=(data,), daemon=True).start()
    assert client.take(len(data), timeout=30) == data
    message = client.send_text("thanks")
    assert served.take(len(message)) == message


def test_one_client_message_in_a_thousand_fragments_counts_once(joined):
    _, client, served = joined(config=limits(messages_per_minute=1, excess_messages="close"))
    data = client.frame(TEXT, "start", fin=False)
    data += b"".join(client.frame(CONT, f"fragment {i} ", fin=False) for i in range(998)) + client.frame(CONT, "end")
    client.send(data)
    assert served.take(len(data)) == data


def test_pings_and_pongs_count_for_no_message_limit(joined):
    _, client, served = joined(config=limits(messages_per_minute=1, excess_messages="close"))
    for i in range(50):
        client.send_frame(PING, str(i))
        assert client.read_frame().payload == str(i).encode()
    message = client.send_text("the first message")
    assert served.take(len(message)) == message


def test_without_configuration_nothing_is_limited(joined):
    _, client, served = joined()
    data = b"".join(client.frame(TEXT, f"{i}") for i in range(5000))
    client.send(data)
    assert served.take(len(data)) == data


# ---- what is counted, and what follows

def test_excess_messages_end_with_1008_where_close_is_configured(joined):
    gateway, client, served = joined(config=CLOSE_AT_20)
    data = b"".join(client.frame(TEXT, f"{i}") for i in range(20))
    client.send(data)
    assert served.take(len(data)) == data
    extra = client.send_text("one too many")
    client.expect_close(1008)
    client.expect_end()
    rest = served.read_frame()
    assert rest.opcode == 8 and extra not in bytes(served.received)
    ending = gateway.ending()
    assert (ending["cause"], ending["code"]) == ("message_rate", 1008), ending


def test_delay_holds_the_excess_back_and_loses_nothing(joined):
    gateway, client, served = joined(config=limits(messages_per_minute=1200, messages_burst=10))
    data = b"".join(client.frame(TEXT, f"message {i}") for i in range(40))
    start = time.monotonic()
    client.send(data)
    assert served.take(len(data), timeout=20) == data
    took = time.monotonic() - start
    assert 1.0 < took < 6, f"30 messages beyond the burst at 20 a second took {took:.2f} s"
    assert gateway.sessions(), "the connection is still open"


def test_a_delayed_client_still_gets_its_chunks_and_its_pongs_come_after_the_delay(joined):
    _, client, served = joined(config=limits(messages_per_minute=60, messages_burst=1))
    client.send(client.frame(TEXT, "one") + client.frame(TEXT, "two"))
    start = time.monotonic()
    served.send(b"".join(served.frame(TEXT, f"{i}") for i in range(1000)))
    for i in range(1000):
        assert client.read_frame().payload == str(i).encode()
    assert time.monotonic() - start < 1, "streaming does not wait for the client's delay"
    assert [served.read_frame(5).payload for _ in range(2)] == [b"one", b"two"]


def test_a_delayed_client_is_not_taken_for_dead_by_the_heartbeat(joined):
    config = {"limits": {"messages_per_minute": 20, "messages_burst": 1},
              "heartbeat": {"interval": "200ms", "timeout": "300ms"}}
    gateway, client, served = joined(config=config)
    client.send(client.frame(TEXT, "one") + client.frame(TEXT, "two"))  # the second waits for 3 s
    assert served.read_data().payload == b"one"
    end = time.monotonic() + 5
    while True:
        f = served.read_frame(max(end - time.monotonic(), 0.1))
        if f.opcode == PING:
            served.send_frame(raw.PONG, f.payload)
        else:
            assert (f.opcode, f.payload) == (TEXT, b"two"), f
            break
    assert gateway.sessions()


def test_a_burst_is_a_hundred_or_the_limit_whichever_is_smaller(joined, relay):
    _, client, served = joined(config=limits(messages_per_minute=1000, excess_messages="close"))
    data = b"".join(client.frame(TEXT, "x") for _ in range(100))
    client.send(data)
    assert served.take(len(data)) == data
    client.send(b"".join(client.frame(TEXT, "y") for _ in range(200)))
    client.expect_close(1008)


def test_each_connection_has_its_own_count(relay):
    gateway, backend = relay(CLOSE_AT_20)
    for _ in range(5):
        client, served = gateway.pair(backend)
        data = b"".join(client.frame(TEXT, f"{i}") for i in range(20))
        client.send(data)
        assert served.take(len(data)) == data


# ---- the old environment

def excess_closes(gateway, backend, n):
    """Sends n messages; True when they all arrive at once, False when the gateway holds some back."""
    client, served = gateway.pair(backend)
    data = b"".join(client.frame(TEXT, f"{i}", mask=b"\1\2\3\4") for i in range(n))
    client.send(data)
    try:
        return served.take(len(data), timeout=1) == data
    except AssertionError:
        return False


@pytest.mark.parametrize("env, n, passes", [
    ({"WS_MAX_MESSAGES_PER_MINUTE": "20"}, 21, False),
    ({"WS_MAX_MESSAGES_PER_MINUTE": "20"}, 20, True),
    ({"WS_MAX_MESSAGES_PER_MINUTE": "20", "WS_RATE_LIMIT_ENABLED": "false"}, 200, True),
    ({"WS_MAX_MESSAGES_PER_MINUTE": "20", "WS_RATE_LIMIT_ENABLED": "off"}, 200, True),
    ({"WS_MAX_MESSAGES_PER_MINUTE": "20", "WS_RATE_LIMIT_ENABLED": "yes"}, 200, False),
    ({"WS_RATE_LIMIT_ENABLED": "1"}, 100, True),
    ({"WS_RATE_LIMIT_ENABLED": "1"}, 200, False),
    ({"WS_RATE_LIMIT_ENABLED": "0"}, 200, True),
])
def test_the_variables_of_the_old_limiter_are_honoured(relay, env, n, passes):
    gateway, backend = relay(env=env)
    assert excess_closes(gateway, backend, n) is passes


@pytest.mark.parametrize("env", [{"WS_MAX_MESSAGES_PER_MINUTE": "0"}, {"WS_MAX_MESSAGES_PER_MINUTE": "2147483648"},
                                 {"WS_MAX_MESSAGES_PER_MINUTE": "many"}, {"WS_RATE_LIMIT_ENABLED": "perhaps"}])
def test_a_wrong_value_of_an_old_variable_is_an_error_that_names_it(gateway, env):
    g = gateway("http://127.0.0.1:1", env=env, ready=False)
    assert g.process.wait_exit() != 0
    assert list(env)[0] in g.log_text()
    g.stopped = True


# ---- handshakes and connections

def test_excess_handshakes_of_an_address_get_429_with_retry_after(gateway, backend):
    g = gateway(backend(raw.echo).url, config=limits(address_handshakes_per_second=3))
    answers = [g.client().ask() for _ in range(8)]
    refused = [a for a in answers if a.status == 429]
    assert len(refused) >= 3 and [a.status for a in answers[:3]] == [101] * 3
    assert all(int(a.get("retry-after")) >= 1 for a in refused)
    causes = {e["cause"] for e in g.wait_endings(len(refused))}
    assert "handshake_rate" in causes


def test_excess_handshakes_can_be_delayed_instead(gateway, backend):
    g = gateway(backend(raw.echo).url, config=limits(route_handshakes_per_second=5, excess_handshakes="delay"))
    start = time.monotonic()
    clients = [g.client() for _ in range(15)]
    for c in clients:
        c.send(raw.request())
    assert [c.read_head().status for c in clients] == [101] * 15
    assert 1.0 < time.monotonic() - start < 6


@pytest.mark.parametrize("key", ["address_connections", "route_connections", "total_connections"])
def test_open_connections_are_limited_and_a_closed_one_makes_room(gateway, backend, key):
    g = gateway(backend(raw.echo).url, config=limits(**{key: 5}), workers=2)
    held = [g.client().open() for _ in range(5)]
    refused = g.client().ask()
    assert refused.status == 429 and int(refused.get("retry-after")) >= 1
    held.pop().send_close(1000)
    g.wait_sessions(4)
    held.append(g.client().open())
    assert g.client().ask().status == 429


def test_limits_by_principal_count_over_its_connections_and_leave_others_alone(gateway, backend, keys):
    from harness.tokens import token
    g = gateway(backend(raw.echo).url, config={
        "auth": "jwt", "jwt": {"keys": [{"alg": "HS256", "file": str(keys.public["HS256"])}]},
        "limits": {"principal_connections": 2, "principal_messages_per_minute": 10, "excess_messages": "close"}})
    alice, bob = (f"/?token={token(keys, sub=name)}" for name in ("alice", "bob"))
    one, two = g.client().open(alice), g.client().open(alice)
    assert g.client().ask(alice).status == 429
    third = g.client().open(bob)
    for i in range(5):
        for c in (one, two):
            c.send_text(f"{i}")
            c.expect_text(f"{i}")
    one.send_text("the eleventh")
    one.expect_close(1008)
    third.send_text("x")
    third.expect_text("x")


def test_dry_run_counts_and_logs_and_refuses_nothing(gateway, backend):
    g = gateway(backend(raw.echo).url, config=limits(
        messages_per_minute=5, excess_messages="close", address_connections=1, address_handshakes_per_second=1, dry_run=True))
    clients = [g.client().open() for _ in range(5)]
    for i in range(30):
        clients[0].send_text(f"{i}")
        clients[0].expect_text(f"{i}")
    assert g.wait_log("limit dry run")
    assert sum(v for k, v in g.metrics().items() if "dry_run" in k) >= 4


# ---- sizes

def test_message_max_is_inclusive_and_one_byte_more_gives_1009(relay):
    gateway, backend = relay({"message_max": "1000B"})
    client, served = gateway.pair(backend)
    data = client.frame(BINARY, os.urandom(1000))
    data += client.frame(BINARY, b"x" * 600, fin=False) + client.frame(CONT, b"y" * 400)
    client.send(data)
    assert served.take(len(data)) == data
    client.send_frame(BINARY, b"z" * 1001)
    client.expect_close(1009)
    client.expect_end()
    ending = gateway.ending()
    assert (ending["cause"], ending["code"]) == ("message_too_big", 1009), ending


def test_message_max_counts_the_fragments_of_a_message_together(relay):
    gateway, backend = relay({"message_max": "1000B"})
    client, _ = gateway.pair(backend)
    client.send(client.frame(BINARY, b"x" * 600, fin=False) + client.frame(CONT, b"y" * 401))
    client.expect_close(1009)


def test_frame_max_bounds_a_frame_while_the_message_may_be_larger(relay):
    gateway, backend = relay({"frame_max": "100B", "message_max": "1000B"})
    client, served = gateway.pair(backend)
    data = b"".join(client.frame(CONT if i else BINARY, b"x" * 100, fin=i == 9) for i in range(10))
    client.send(data)
    assert served.take(len(data)) == data
    client.send_frame(BINARY, b"x" * 101)
    client.expect_close(1009)
    assert gateway.ending()["cause"] == "frame_too_big"


def test_the_default_message_max_is_one_mebibyte_and_binds_clients_only(joined):
    _, client, served = joined()
    data = client.frame(BINARY, bytes(1 << 20))
    threading.Thread(target=client.send, args=(data,), daemon=True).start()
    assert served.take(len(data)) == data
    down = frame(BINARY, bytes((1 << 20) + 1))
    threading.Thread(target=served.send, args=(down,), daemon=True).start()
    assert client.take(len(down)) == down
    client.send(frame(BINARY, b"", mask=b"abcd", length=(1 << 20) + 1))
    client.expect_close(1009)


def test_a_flag_and_a_variable_set_message_max_and_the_flag_wins(relay):
    gateway, backend = relay(flags=["--message-max", "100B"], env={"HOLDFAST_MESSAGE_MAX": "1MiB"})
    client, _ = gateway.pair(backend)
    client.send_frame(BINARY, b"x" * 101)
    client.expect_close(1009)
    gateway, backend = relay(env={"HOLDFAST_MESSAGE_MAX": "64B"})
    client, _ = gateway.pair(backend)
    client.send_frame(BINARY, b"x" * 65)
    client.expect_close(1009)


# ---- safety budgets

BUDGET = 4000  # a second, and at once


def test_a_flood_of_pings_is_held_to_a_budget_and_others_do_not_feel_it(joined):
    gateway, client, _ = joined()
    start = time.monotonic()
    client.send(client.frame(PING, b"", mask=b"\0\0\0\0") * 30_000)
    while time.monotonic() - start < 1.5:
        try:
            client.fill(0.1)
        except raw.Ended:
            break
    pongs = len(client.received[client.at:]) // 2
    took = time.monotonic() - start
    assert 0 < pongs <= BUDGET * (took + 1) * 1.1, f"{pongs} pongs in {took:.2f} s"
    with gateway.client() as other:
        other.send(raw.request("/other"))


def test_a_flood_of_empty_fragments_is_held_to_the_same_budget(joined):
    _, client, served = joined()
    start = time.monotonic()
    client.send(client.frame(TEXT, b"a", fin=False) + client.frame(CONT, b"", fin=False, mask=b"\0\0\0\0") * 30_000)
    while time.monotonic() - start < 1.5:
        try:
            served.fill(0.1)
        except raw.Ended:
            break
    fragments = len(served.received[served.at:]) // 6
    took = time.monotonic() - start
    assert 0 < fragments <= BUDGET * (took + 1) * 1.1, f"{fragments} fragments in {took:.2f} s"
