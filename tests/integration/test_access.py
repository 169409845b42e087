# SPDX-License-Identifier: Apache-2.0
"""Who is let in: hosts, origins, tokens honest and forged, the call-out; and that no secret is ever shown."""
import base64
import json
import time

import pytest

from harness import raw
from harness.gateway import command
from harness.tokens import b64, hmac_signed, token, unsigned

ALGORITHMS = ["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]


@pytest.fixture
def guard(gateway, backend, keys):
    """A gateway that demands a token: guard(alg, **jwt keys)."""
    def start(alg="HS256", more=None, **jwt):
        jwt.setdefault("keys", [{"alg": alg, "file": str(keys.public[alg])}])
        return gateway(backend(raw.echo).url, config={"auth": "jwt", "jwt": jwt, **(more or {})})
    return start


def status(gateway, path="/", **how):
    with gateway.client() as client:
        return client.ask(path, **how).status


def knock(gateway, tok, **how):
    """The status that a token in the query gets; it must never be shown afterwards."""
    gateway.secrets.append(tok) if len(tok) > 12 else None
    return status(gateway, f"/ws?token={tok}", **how)


# ---- hosts and origins

def test_only_allowed_hosts_are_let_in(gateway, backend):
    g = gateway(backend(raw.echo).url, config={"hosts": ["app.example.com", "*.wild.example", "ported.example:8443"]})
    for host in ("app.example.com", "APP.Example.com", "app.example.com:8080", "app.example.com.", "a.wild.example",
                 "a.b.wild.example", "ported.example:8443"):
        assert status(g, host=host) == 101, host
    for host in ("evil.com", "app.example.com.evil.com", "xapp.example.com", "wild.example", "ported.example", "127.0.0.1"):
        assert status(g, host=host) == 403, host
    assert {e["cause"] for e in g.endings() if e["phase"] == "handshake"} == {"host_refused"}


def test_only_allowed_origins_are_let_in(gateway, backend):
    g = gateway(backend(raw.echo).url, config={"origins": ["https://app.example.com", "https://*.wild.example", "http://dev:3000"]})
    for origin in ("https://app.example.com", "https://app.example.com:443", "https://x.wild.example", "http://dev:3000"):
        assert status(g, headers=[("Origin", origin)]) == 101, origin
    for origin in ("http://app.example.com", "https://app.example.com:8443", "https://app.example.com.evil.com", "null",
                   "https://evil.com", "https://wild.example", "http://dev", "https://app.example.com https://evil.com"):
        assert status(g, headers=[("Origin", origin)]) in (400, 403), origin
    assert status(g) == 101, "a missing Origin is allowed by default: it is no browser"
    g = gateway(backend(raw.echo).url, config={"origins": ["https://app.example.com"], "missing_origin": "refuse"})
    assert status(g) == 403


# ---- tokens

@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_token_of_each_algorithm_is_let_in_and_a_tampered_one_is_not(guard, keys, alg):
    g = guard(alg)
    good = token(keys, alg)
    assert knock(g, good) == 101
    head, body, signature = good.split(".")
    other = b64({"sub": "admin", "exp": int(time.time()) + 9999})
    assert knock(g, f"{head}.{other}.{signature}") == 401
    middle = len(signature) // 2
    flipped = signature[:middle] + ("A" if signature[middle] != "A" else "B") + signature[middle + 1:]
    assert knock(g, f"{head}.{body}.{flipped}") == 401
    assert g.wait_log("ws auth", subject="alice")[0]["result"]
    g.never_shown(good, signature)


def test_no_token_gets_401_with_a_challenge(guard):
    g = guard()
    with g.client() as client:
        head = client.ask("/ws")
        assert head.status == 401 and head.get("www-authenticate").startswith("Bearer")
    assert g.ending()["cause"] == "auth_missing"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
def test_alg_none_is_never_let_in(guard, alg):
    g = guard()
    assert knock(g, unsigned(alg=alg)) == 401
    assert knock(g, unsigned(alg=alg, signature="AAAA")) == 401


def test_key_confusion_an_hs256_token_signed_with_the_rsa_public_key_is_refused(guard, keys):
    g = guard("RS256")
    pem = keys.public["RS256"].read_bytes()
    for secret in (pem, pem.strip(), pem.decode().replace("\n", "").encode()):
        assert knock(g, hmac_signed(secret)) == 401
        assert knock(g, hmac_signed(secret, alg="RS256")) == 401
    assert knock(g, token(keys, "RS256")) == 101


def test_key_confusion_is_refused_for_ec_keys_and_named_keys_as_well(guard, keys):
    both = [{"kid": "hs", "alg": "HS256", "file": str(keys.public["HS256"])},
            {"kid": "es", "alg": "ES256", "file": str(keys.public["ES256"])}]
    g = guard(keys=both)
    pem = keys.public["ES256"].read_bytes()
    assert knock(g, hmac_signed(pem, kid="es")) == 401
    assert knock(g, hmac_signed(pem)) == 401
    assert knock(g, token(keys, "ES256", kid="es")) == 101
    assert knock(g, token(keys, "HS256", kid="hs")) == 101
    assert knock(g, token(keys, "HS256", kid="es")) == 401
    assert knock(g, token(keys, "HS256", kid="nobody")) == 401


@pytest.mark.parametrize("pinned, used", [("HS256", "HS512"), ("HS512", "HS256"), ("RS256", "RS512"), ("ES256", "ES384")])
def test_another_algorithm_of_the_same_family_is_refused(guard, keys, pinned, used):
    assert knock(guard(pinned), token(keys, used)) == 401


def test_expired_and_not_yet_valid_tokens_get_401_beyond_the_leeway(guard, keys):
    g = guard(leeway="5s")
    now = time.time()
    assert knock(g, token(keys, lives=-60)) == 401
    assert knock(g, token(keys, nbf=int(now) + 60)) == 401
    assert knock(g, token(keys, nbf=int(now) + 3)) == 101
    assert knock(g, token(keys, nbf=int(now) - 60)) == 101
    lines = g.wait_log("ws auth", 4)
    assert any("expired" in line["reason"] for line in lines), lines


@pytest.mark.parametrize("claims", [{"exp": "soon"}, {"exp": -1}, {"nbf": "later"}, {"exp": True}, {"exp": [1]}])
def test_times_that_are_no_numbers_are_refused(guard, keys, claims):
    body = {"sub": "x", "exp": int(time.time()) + 3600, **claims}
    signed = hmac_token(keys, body)
    assert knock(guard(), signed) == 401


def hmac_token(keys, body, header=None):
    import hashlib
    import hmac
    text = f"{b64(header or {'alg': 'HS256', 'typ': 'JWT'})}.{body if isinstance(body, str) else b64(body)}"
    mac = hmac.new(keys.private["HS256"].read_bytes(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{b64(mac)}"


def test_a_wrong_issuer_or_audience_is_valid_but_refused_with_403(guard, keys):
    g = guard(issuer="https://id.example.com", audience=["chat", "inbox"])
    iss = "https://id.example.com"
    assert knock(g, token(keys, iss=iss, aud="chat")) == 101
    assert knock(g, token(keys, iss=iss, aud=["other", "inbox"])) == 101
    assert knock(g, token(keys, iss="https://evil.example.com", aud="chat")) == 403
    assert knock(g, token(keys, iss=None, aud="chat")) == 403
    assert knock(g, token(keys, iss=iss, aud="other")) == 403
    assert knock(g, token(keys, iss=iss)) == 403
    assert knock(g, token(keys, iss="https://evil.example.com", aud="chat", lives=-3600)) == 401


@pytest.mark.parametrize("bad", ["x", "a.b", "a.b.c", "....", "a.b.c.d", "%00", "e30.e30.", "e30=.e30=.AAAA", "A" * 9000])
def test_what_is_no_token_gets_401(guard, bad):
    assert knock(guard(), bad) == 401


def test_a_token_is_taken_from_header_cookie_and_subprotocol_where_configured(guard, keys):
    g = guard(**{"from": ["header", "cookie", "subprotocol"]})
    tok = token(keys)
    g.secrets.append(tok)
    assert status(g, headers=[("Authorization", f"Bearer {tok}")]) == 101
    assert status(g, headers=[("Authorization", f"bearer {tok}")]) == 101
    assert status(g, headers=[("Cookie", f"a=b; token={tok}; c=d")]) == 101
    assert status(g, f"/?token={tok}") == 401, "the query is not among the places"
    assert status(g, headers=[("Authorization", f"Basic {tok}")]) == 401


def test_a_token_in_the_subprotocol_is_not_passed_on(gateway, backend, keys):
    b = backend()
    g = gateway(b.url, config={"auth": "jwt", "jwt": {
        "keys": [{"alg": "HS256", "file": str(keys.public["HS256"])}], "from": ["subprotocol"]}})
    tok = token(keys)
    g.secrets.append(tok)
    client = g.client()
    client.send(raw.request(headers=[("Sec-WebSocket-Protocol", f"chat.v1, bearer.{tok}")]))
    served = b.next()
    assert served.head.get("sec-websocket-protocol") == "chat.v1"
    served.upgrade([("Sec-WebSocket-Protocol", "chat.v1")])
    assert client.read_head().get("sec-websocket-protocol") == "chat.v1"


def test_strip_takes_the_token_out_of_what_the_backend_sees(gateway, backend, keys):
    b = backend()
    g = gateway(b.url, config={"auth": "jwt", "jwt": {
        "keys": [{"alg": "HS256", "file": str(keys.public["HS256"])}], "strip": True}})
    tok = token(keys)
    _, served = g.pair(b, f"/ws?a=1&token={tok}&b=%20")
    assert served.head.target == "/ws?a=1&b=%20"
    assert tok not in served.head.raw.decode()


def test_a_key_may_stand_in_the_environment_or_in_a_jwks_file(gateway, backend, keys, tmp_path):
    secret = keys.private["HS256"].read_text()
    g = gateway(backend(raw.echo).url, config={"auth": "jwt", "jwt": {"keys": [{"alg": "HS256", "env": "MY_KEY"}]}},
                env={"MY_KEY": secret})
    assert knock(g, token(keys)) == 101
    g.never_shown(secret)
    jwks = tmp_path / "jwks.json"
    jwks.write_text(json.dumps({"keys": [
        {"kty": "oct", "kid": "h", "alg": "HS256", "k": base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()},
        public_jwk(keys, "RS256", "r"), public_jwk(keys, "ES256", "e")]}))
    g = gateway(backend(raw.echo).url, config={"auth": "jwt", "jwt": {"jwks": str(jwks)}})
    for alg, kid in (("HS256", "h"), ("RS256", "r"), ("ES256", "e")):
        assert knock(g, token(keys, alg, kid=kid)) == 101, alg
    assert knock(g, token(keys, "HS256", kid="r")) == 401


def public_jwk(keys, alg, kid):
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    numbers = load_pem_public_key(keys.public[alg].read_bytes()).public_numbers()

    def number(n, size=None):
        return b64(n.to_bytes(size or (n.bit_length() + 7) // 8, "big"))
    if alg.startswith("RS"):
        return {"kty": "RSA", "kid": kid, "alg": alg, "n": number(numbers.n), "e": number(numbers.e)}
    return {"kty": "EC", "crv": "P-256", "kid": kid, "alg": alg, "x": number(numbers.x, 32), "y": number(numbers.y, 32)}


def test_a_token_that_expires_on_an_open_connection_ends_it_with_4401(guard, keys):
    g = guard(leeway="0s")
    client = g.client().open(f"/?token={token(keys, lives=2)}")
    client.send_text("hello")
    client.expect_text("hello")
    client.expect_close(4401, "token expired", timeout=6)
    client.expect_end()
    ending = g.ending()
    assert (ending["cause"], ending["code"], ending["reason"]) == ("token_expired", 4401, "token expired"), ending


def test_expiry_of_open_connections_can_be_switched_off(guard, keys):
    g = guard(leeway="0s", expiry=False)
    client = g.client().open(f"/?token={token(keys, lives=1)}")
    client.silent(2.2)
    client.send_text("still here")
    client.expect_text("still here")


def test_routes_without_auth_stay_open_beside_a_guarded_one(gateway, backend, keys):
    b = backend(raw.echo)
    g = gateway(config={"upstream": b.url, "jwt": {"keys": [{"alg": "HS256", "file": str(keys.public["HS256"])}]},
                        "routes": [{"path": "/private", "auth": "jwt"}, {"path": "/"}]})
    assert status(g, "/public") == 101
    assert status(g, "/private") == 401
    assert status(g, "/private/%74oken") == 401
    assert status(g, f"/private?token={token(keys)}") == 101
    for sneaky in ("/public/../private", "//private", "/%70rivate", "/private%2f", "/./private"):
        assert status(g, sneaky) != 101 or sneaky == "//private", sneaky


# ---- the call-out

def asked(answer, more=(), seen=None):
    """A script for the application's own auth URL."""
    def script(served):
        if seen is not None:
            seen.append(served.head)
        served.answer(answer, b"because I say so" if answer >= 400 else b"", [("Content-Type", "text/plain"), *more])
        served.read_end()
    return script


@pytest.fixture
def callout(gateway, backend):
    def start(script, **keys):
        ask = backend(script)
        app = backend()
        g = gateway(app.url, config={"auth": "callout", "callout": {"url": ask.url + "/auth?x=1", **keys}})
        return g, app, ask
    return start


def test_a_callout_that_says_2xx_lets_in_names_the_principal_and_adds_headers(callout):
    seen = []
    g, app, _ = callout(asked(204, [("X-Auth-Subject", "carol"), ("X-Role", "admin"), ("X-Other", "no")], seen),
                        copy=["X-Role"])
    _, served = g.pair(app, "/ws?token=very-secret-token-1", headers=[
        ("Cookie", "sid=very-secret-cookie"), ("Authorization", "Bearer very-secret-bearer"), ("X-Role", "forged")])
    assert served.head.all("x-role") == ["admin"] and served.head.get("x-other") is None
    assert seen[0].first == "GET /auth?x=1 HTTP/1.1"
    assert seen[0].get("x-original-uri") == "/ws?token=very-secret-token-1"
    assert seen[0].get("cookie") == "sid=very-secret-cookie" and seen[0].get("authorization") == "Bearer very-secret-bearer"
    assert g.wait_log("ws auth")[0]["subject"] == "carol"
    assert g.sessions()[0]["subject"] == "carol"
    g.never_shown("very-secret-token-1", "very-secret-cookie", "very-secret-bearer")


@pytest.mark.parametrize("answer", [401, 403])
def test_a_callouts_401_and_403_pass_through_with_their_body(callout, answer):
    g, app, _ = callout(asked(answer))
    client = g.client()
    assert client.ask().status == answer
    assert client.read_body() == b"because I say so"
    assert app.accepted == 0
    assert g.ending()["phase"] == "handshake"


@pytest.mark.parametrize("answer", [302, 404, 500])
def test_a_callout_that_answers_anything_else_gives_502(callout, answer):
    g, app, _ = callout(asked(answer))
    assert status(g) == 502 and app.accepted == 0
    assert g.ending()["cause"] == "auth_unavailable"


def test_a_callout_that_does_not_answer_gives_504_and_is_named(callout):
    g, app, _ = callout(lambda served: served.read_end(30), timeout="300ms")
    assert status(g) == 504 and app.accepted == 0
    line = g.wait_log("ws auth")[0]
    assert "300ms" in line["reason"] or "answer" in line["reason"] or "time" in line["reason"], line
    assert g.ending()["cause"] == "auth_unavailable"


def test_a_callout_that_is_not_there_gives_502(gateway, backend):
    from harness.process import free_port
    g = gateway(backend().url, config={"auth": "callout", "callout": {"url": f"http://127.0.0.1:{free_port()}/auth"}})
    assert status(g) == 502


# ---- redaction

SECRET = "s3cr3t-V4lue-that-nobody-may-see"
NAMES = ["token", "access_token", "id_token", "jwt", "auth", "key", "api_key", "secret", "password", "ticket", "sig"]


def test_no_secret_of_any_place_appears_in_log_metrics_or_pages_whatever_happens(gateway, backend):
    b = backend()
    g = gateway(b.url, flags=["--log-level", "debug"])
    query = "&".join(f"{n}={SECRET}-{n}" for n in NAMES)
    headers = [("Authorization", f"Bearer {SECRET}"), ("Cookie", f"sid={SECRET}")]
    client, served = g.pair(b, f"/ws?a=1&{query}&TOKEN={SECRET}", headers=headers)
    assert served.head.target.count(SECRET) == len(NAMES) + 1, "the backend gets it all"
    g.wait_sessions(1)
    g.never_shown(SECRET)
    client.send_close(1000)
    served.expect_close(1000)
    served.send_close(1000)
    for how in ({"drop": ("sec-websocket-key",)}, {"headers": headers + [("Sec-WebSocket-Extensions", ";")]}):
        g.client().ask(f"/bad?{query}", **how)
    odd = g.client()
    odd.send(f"GET /x?token={SECRET} HTTP/1.1\r\nHost: a\r\nAuthorization: {SECRET}\r\n\r\n".encode())
    odd.read_end()
    g.wait_endings(4)
    g.never_shown(SECRET)
    assert "a=1" in json.dumps(g.endings()), "what is no secret stays readable"


def test_the_printed_configuration_hides_secrets(gateway, tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"listen": "127.0.0.1:1", "upstream": "http://127.0.0.1:2", "admin_token": SECRET}))
    done = command("serve", "-c", file, "--check")
    assert done.returncode == 0, done
    assert SECRET not in done.stdout + done.stderr and "***" in done.stdout
