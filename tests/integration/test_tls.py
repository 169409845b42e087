# SPDX-License-Identifier: Apache-2.0
"""TLS on both sides: the listener's certificates by name and their reload, and the upstream's verification."""
import os
import socket
import ssl
import threading

import pytest

from harness import raw
from harness.certs import Authority
from harness.raw import BINARY, Client, frame


@pytest.fixture
def secure(gateway, backend, authority):
    """A gateway with a TLS listener for app.test: (gateway, backend, the client's context)."""
    def start(script=raw.echo, flags=(), **how):
        cert, key = authority.leaf("app.test", label="app")
        b = backend(script)
        g = gateway(b.url, flags=["--tls-cert", str(cert), "--tls-key", str(key), *flags], scheme="wss", **how)
        return g, b, authority.client_context()
    return start


def served_name(gateway, context, name):
    """The certificate that a client who asks for that name gets: its names."""
    with socket.create_connection(gateway.address) as tcp, context.wrap_socket(tcp, server_hostname=name) as tls:
        return {value for _, value in tls.getpeercert()["subjectAltName"]}


def test_messages_pass_over_tls_byte_for_byte(secure):
    g, b, context = secure(script=None)
    client = Client(g.address, tls=context, server_name="app.test")
    client.send(raw.request("/ws"))
    served = b.next().upgrade()
    assert client.read_head().status == 101
    assert served.head.get("x-forwarded-proto") == "https"
    data = b"".join(client.frame(BINARY, os.urandom(n)) for n in (0, 1, 125, 20_000, 300_000))
    threading.Thread(target=client.send, args=(data,), daemon=True).start()
    assert served.take(len(data)) == data
    down = b"".join(frame(BINARY, os.urandom(n)) for n in (0, 1, 125, 20_000, 2_000_000))
    threading.Thread(target=served.send, args=(down,), daemon=True).start()
    assert client.take(len(down)) == down
    served.send_close(4000, "bye")
    client.expect_close(4000, "bye")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_tls_1_2_and_1_3_are_spoken_and_1_1_is_not(secure, version):
    g, _, context = secure()
    context.minimum_version = context.maximum_version = version
    Client(g.address, tls=context, server_name="app.test").open().close()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        Client(g.address, tls=old, server_name="app.test")


def test_version_min_1_3_refuses_1_2(secure):
    g, _, context = secure(flags=["--tls-version-min", "1.3"])
    Client(g.address, tls=context, server_name="app.test").open().close()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, OSError)):
        Client(g.address, tls=context, server_name="app.test")


def test_the_certificate_is_chosen_by_the_name_that_is_asked_for(gateway, backend, authority):
    pairs = [authority.leaf(name, label="sni-" + name.replace("*", "any")) for name in ("one.test", "two.test", "*.wild.test")]
    b = backend(raw.echo)
    from harness.process import free_port
    port = free_port()
    g = gateway(b.url, config={"listen": [{"address": f"127.0.0.1:{port}", "tls": [
        {"cert": str(c), "key": str(k)} for c, k in pairs]}]})
    g.address = ("127.0.0.1", port)
    context = authority.client_context()
    for name, expected in (("one.test", "one.test"), ("two.test", "two.test"), ("a.wild.test", "*.wild.test")):
        assert served_name(g, context, name) == {expected}
    context.check_hostname = False
    assert served_name(g, context, "unknown.test") == {"one.test"}, "the first is the default"


def test_a_new_certificate_is_taken_by_sighup_and_no_connection_drops(gateway, backend, tmp_path):
    old, new = Authority(tmp_path / "old"), Authority(tmp_path / "new")
    cert, key = old.leaf("app.test")
    b = backend(raw.echo)
    g = gateway(b.url, flags=["--tls-cert", str(cert), "--tls-key", str(key)])
    held = Client(g.address, tls=old.client_context(), server_name="app.test").open()
    fresh_cert, fresh_key = new.leaf("app.test")
    cert.write_bytes(fresh_cert.read_bytes())
    key.write_bytes(fresh_key.read_bytes())
    g.reload()
    Client(g.address, tls=new.client_context(), server_name="app.test").open().close()
    with pytest.raises(ssl.SSLError):
        Client(g.address, tls=old.client_context(), server_name="app.test")
    held.send_text("still the old session")
    held.expect_text("still the old session")
    cert.write_text("broken")
    g.process.signal(1)
    from harness.process import wait_for
    wait_for(lambda: str(cert) in g.log_text() or None, "the broken certificate is named")
    Client(g.address, tls=new.client_context(), server_name="app.test").open().close()
    held.send_text("and still")
    held.expect_text("and still")


def test_plain_http_on_the_tls_port_and_half_a_hello_are_ended_and_recorded(secure):
    g, _, _ = secure(flags=["--handshake-timeout", "500ms"])
    plain = Client(g.address)
    plain.send(raw.request())
    plain.read_end()
    half = Client(g.address)
    half.send(b"\x16\x03\x01\x02\x00\x01\x00")
    half.read_end(timeout=3)
    causes = sorted(e["cause"] for e in g.wait_endings(2))
    assert causes == ["handshake_timeout", "tls_failed"], causes


def test_a_client_that_ends_tls_without_a_notify_has_ended(secure):
    g, b, context = secure(script=None)
    client = Client(g.address, tls=context, server_name="app.test")
    client.send(raw.request())
    served = b.next().upgrade()
    client.read_head()
    client.sock.close()
    served.expect_close(1001)


def test_a_slow_tls_client_holds_the_backend_back(secure):
    g, b, context = secure(script=None)
    client = Client(g.address, tls=context, server_name="app.test", receive_buffer=65536)
    client.send(raw.request())
    served = b.next().upgrade()
    client.read_head()
    before, total = g.process.memory(), 40
    data = frame(BINARY, bytes(1 << 20))
    thread = threading.Thread(target=lambda: [served.send(data) for _ in range(total)], daemon=True)
    thread.start()
    thread.join(1.0)
    assert thread.is_alive(), "40 MB went into a client that does not read"
    assert g.process.memory() - before < 8 << 20
    for _ in range(total):
        assert client.take(len(data)) == data
        del client.received[:client.at]
        client.at = 0


# ---- upstream

def upstream(gateway, backend, context, tls=None, host="localhost", **keys):
    b = backend(raw.echo, tls=context)
    url = f"https://{host}:{b.address[1]}"
    g = gateway(config={"upstream": url, **({"upstream_tls": tls} if tls else {}), **keys})
    return g, b


def test_an_upstream_over_tls_is_verified_against_its_own_ca(gateway, backend, authority):
    g, _ = upstream(gateway, backend, authority.server_context("localhost"), {"ca": str(authority.cert)})
    client = g.client().open()
    client.send_text("through TLS")
    client.expect_text("through TLS")


@pytest.mark.parametrize("why, names, tls", [
    ("an unknown CA", ["localhost"], None),
    ("another name", ["other.test"], "own"),
])
def test_an_upstream_whose_certificate_does_not_hold_gives_502(gateway, backend, authority, why, names, tls):
    g, b = upstream(gateway, backend, authority.server_context(*names), {"ca": str(authority.cert)} if tls else None)
    assert g.client().ask().status == 502, why
    assert g.ending()["cause"] == "backend_unreachable"
    assert b.connections == []


def test_the_upstreams_name_for_sni_and_verification_can_be_set_or_verification_switched_off(gateway, backend, authority):
    g, _ = upstream(gateway, backend, authority.server_context("inner.test"),
                    {"ca": str(authority.cert), "name": "inner.test"})
    g.client().open().close()
    g, _ = upstream(gateway, backend, authority.server_context("inner.test"), {"verify": False})
    g.client().open().close()


def test_an_upstream_by_address_is_verified_by_its_address(gateway, backend, authority):
    g, _ = upstream(gateway, backend, authority.server_context("127.0.0.1"), {"ca": str(authority.cert)}, host="127.0.0.1")
    g.client().open().close()
