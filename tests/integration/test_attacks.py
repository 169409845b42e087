# SPDX-License-Identifier: Apache-2.0
"""What an attacker tried: to be somebody else, to show one token and use another, to reach a guarded path by another spelling, and to
make the gateway work or wait for nothing."""
import socket
from pathlib import Path

import pytest

from harness import raw
from harness.process import wait_for
from harness.tokens import token
from test_access import asked, status

GOOD = "/ws?x=1"


@pytest.mark.parametrize("headers", [
    [("X-Forwarded-For", '", 203.0.113.7'), ("Forwarded", "for=9.9.9.9"), ("CF-Connecting-IP", "9.9.9.9")],
    [("Forwarded", 'for=9.9.9.9;x=", for=203.0.113.7')],
    [("X-Forwarded-For", "9.9.9.9, ::"), ("CF-Connecting-IP", "9.9.9.9")],
    [("X-Forwarded-For", "nonsense"), ("Forwarded", "for=9.9.9.9")],
])
def test_what_a_client_puts_before_an_honest_proxys_word_does_not_make_it_somebody_else(gateway, backend, headers):
    b = backend(raw.echo)
    g = gateway(b.url, config={"trusted_proxies": ["127.0.0.1"]})
    with g.client() as client:
        client.open(headers=headers)
    assert g.ending()["address"] != "9.9.9.9"
    assert b.connections[-1].head.get("x-real-ip") != "9.9.9.9"


@pytest.mark.parametrize("name", ["X-Forwarded-User", "X-Forwarded-Prefix", "X_Forwarded_User", "True-Client-IP", "X-Client-IP",
                                  "Forwarded-For", "X-Original-URL"])
def test_what_only_a_proxy_may_say_does_not_pass_from_a_stranger(gateway, backend, name):
    for trusted, passes in (["10.0.0.0/8"], False), (["127.0.0.1"], True):
        b = backend(raw.echo)
        g = gateway(b.url, config={"trusted_proxies": trusted})
        with g.client() as client:
            client.open(headers=[(name, "admin")])
        assert (b.connections[-1].head.get(name.lower()) == "admin") is passes
        g.stop()


def test_a_client_cannot_say_what_the_callout_left_unsaid(gateway, backend):
    ask = backend(asked(200, [("X-Auth-Subject", "alice")]))
    app = backend()
    g = gateway(app.url, config={"auth": "callout", "callout": {"url": ask.url + "/auth", "copy": ["X-User-Id"]}})
    _, served = g.pair(app, "/ws", headers=[("X-User-Id", "admin"), ("X_User_Id", "admin"), ("X-Auth-Subject", "root"),
                                            ("x-user-id", "admin")])
    assert not [line for line in served.head.raw.decode().lower().split("\r\n") if "admin" in line or "root" in line]


@pytest.fixture
def guarded(gateway, backend, keys):
    def start(**jwt):
        jwt.setdefault("keys", [{"alg": "HS256", "file": str(keys.public["HS256"])}])
        b = backend(raw.echo)
        return gateway(b.url, config={"auth": "jwt", "jwt": jwt}), b
    return start


def test_the_token_that_is_checked_is_the_only_one(guarded, keys):
    good, evil = token(keys), token(keys, sub="mallory")
    g, _ = guarded(**{"from": ["query", "header", "cookie"]})
    assert status(g, f"/ws?token={good}") == 101
    assert status(g, f"/ws?token={good}", headers=[("Authorization", f"Bearer {good}")]) == 101, "twice the same is one"
    for path, headers in (
            (f"/ws?token={good}&token={evil}", []),
            (f"/ws?token=&token={evil}", []),
            (f"/ws?x=1;token={evil}&token={good}", []),
            (f"/ws?token={good}&%74oken={evil}", []),
            (f"/ws?token={good}", [("Authorization", f"Bearer {evil}")]),
            (f"/ws?token={good}", [("Cookie", f"token={evil}")]),
            ("/ws", [("Authorization", f"Bearer {good}"), ("Authorization", f"Bearer {evil}")]),
            ("/ws", [("Cookie", f"token={good}; token={evil}")]),
            ("/ws", [("Cookie", f"token={good}"), ("Cookie", f"token={evil}")])):
        assert status(g, path, headers=headers) == 401, (path[:20], headers)
    g.never_shown(good, evil)


def test_connection_cannot_take_away_what_a_client_was_judged_by(guarded, keys):
    g, b = guarded()
    with g.client() as client:
        client.open("/ws", headers=[("Authorization", f"Bearer {token(keys)}"), ("Connection", "Authorization"), ("Origin", "http://a.test")])
    assert b.connections[-1].head.get("authorization", "").startswith("Bearer ")


def test_a_token_in_a_parameter_of_another_name_is_not_shown(guarded, keys):
    tok = token(keys)
    g, _ = guarded(query="session")
    client = g.client().open(f"/ws?session={tok}&a=b")
    assert g.sessions()[0]["path"] == "/ws?session=***&a=b"
    client.close()
    assert g.ending()["path"] == "/ws?session=***&a=b"
    g.never_shown(tok)


def test_no_spelling_of_a_guarded_path_leads_around_its_guard(gateway, backend, keys):
    key = [{"alg": "HS256", "file": str(keys.public["HS256"])}]
    g = gateway(config={"upstream": backend(raw.echo).url, "routes": [
        {"path": "/"}, {"path": "/ws/admin", "auth": "jwt", "jwt": {"keys": key}}, {"path": "/API"}, {"path": "/api"}]})
    for path in ("//ws/admin", "/ws//admin", "/ws/admin;x", "/ws/admin;x/y", "/ws;a/admin", "/ws/admin%3bx", "/ws/Admin",
                 "/ws/admin.", "/ws/admin%20", "/ws/admin%20%20"):
        assert status(g, path) == 400, path
    for path in ("/ws", "/ws/", "/WS/other", "/a;b", "/API/x", "/api/x", "//a", "/ws/administrator"):
        assert status(g, path) == 101, path


def test_a_thousand_members_of_connection_are_refused(gateway, backend):
    g = gateway(backend(raw.echo).url)
    with g.client() as client:
        client.send(raw.request(headers=[("Connection", "a," * 1000)]))
        assert client.read_head().status == 400


def test_silent_strangers_do_not_keep_a_health_check_out(gateway, backend):
    g = gateway(backend(raw.echo).url)
    strangers = [socket.create_connection(g.admin) for _ in range(64)]
    wait_for(lambda: len(list(Path(f"/proc/{g.pid}/fd").iterdir())) > 64, "the strangers are accepted")
    assert g.get("/healthz")[0] == 200
    for stranger in strangers:
        stranger.close()


def test_a_delayed_client_that_resets_is_noticed_within_a_second_or_two(gateway, backend):
    g = gateway(backend(raw.echo).url, config={"limits": {"messages_per_minute": 1, "messages_burst": 1}})
    client = g.client().open()
    for _ in range(5):
        client.send_text("x")
    client.expect_text("x")
    client.reset()
    ending = g.ending(within=5)
    assert (ending["cause"], ending["who"]) == ("client_reset", "client"), ending


def test_dry_runs_of_the_message_limit_are_logged_once_for_a_connection(gateway, backend):
    g = gateway(backend(raw.echo).url, config={"limits": {"messages_per_minute": 1, "messages_burst": 1, "dry_run": True}})
    client = g.client().open()
    for _ in range(5):
        client.send_text("x")
    for _ in range(5):
        client.expect_text("x")
    assert len(g.wait_log("limit dry run")) == 1
    assert g.metric("holdfast_limit_dry_run_total") == 4
