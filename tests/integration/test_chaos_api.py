# SPDX-License-Identifier: Apache-2.0
"""toxiproxy's HTTP API as holdfast chaos has it: by hand, and by the client of toxiproxy's users on Node."""
import json
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from harness import raw
from harness.chaos import Chaos, ending

NODE = Path(__file__).parent / "node"


class Api:
    def __init__(self, address):
        self.root = f"http://{address}"

    def ask(self, method, path, body=None, headers=()):
        """(status, JSON or text)"""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.root + path, data, method=method, headers=dict(headers))
        try:
            with urllib.request.urlopen(request, timeout=8) as answer:
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text


@pytest.fixture(scope="module")
def echo():
    server = socket.create_server(("127.0.0.1", 0))

    def pump(sock):
        with sock:
            try:
                while data := sock.recv(65536):
                    sock.sendall(data)
            except OSError:
                pass

    def serve():
        while True:
            try:
                sock, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=pump, args=(sock,), daemon=True).start()
    threading.Thread(target=serve, daemon=True).start()
    yield "127.0.0.1:%d" % server.getsockname()[1]
    server.close()


@pytest.fixture
def box(tmp_path):
    with Chaos(tmp_path, "--api", "127.0.0.1:0") as b:
        yield b


@pytest.fixture
def api(box):
    return Api(box.api)


def test_the_client_of_toxiproxys_users_works(box, echo):
    ran = subprocess.run(["node", NODE / "toxiproxy.js", f"http://{box.api}", echo], capture_output=True, text=True, timeout=40, cwd=NODE)
    assert ran.returncode == 0, ran.stderr + box.tail()
    seen = json.loads(ran.stdout)
    assert seen["version"].startswith("2.")
    assert seen["created"]["name"] == "echo" and seen["created"]["enabled"] is True and not seen["created"]["listen"].endswith(":0")
    assert seen["twice"] == "Request failed with status code 409"
    assert seen["toxic"] == {"name": "latency_downstream", "type": "latency", "stream": "downstream", "toxicity": 1,
                             "attributes": {"latency": 300, "jitter": 0}}
    assert seen["changed"]["attributes"] == {"latency": 600, "jitter": 0} and seen["same"] == seen["changed"]
    assert "ms" in seen["plain"] and seen["slow"]["ms"] >= 295 and seen["slower"]["ms"] >= 595
    assert seen["gone"] == seen["missing"] == "Request failed with status code 404"
    assert seen["fast"]["ms"] < seen["slower"]["ms"]
    assert seen["reset"]["error"] == "ECONNRESET" and "ms" in seen["after"]
    assert seen["off"] is False and seen["down"]["error"] == "ECONNREFUSED" and "ms" in seen["up"]
    assert seen["populated"] == seen["all"] == ["echo", "other"] and seen["left"] == ["echo"]


def test_proxies_are_made_changed_and_removed(api, echo):
    assert api.ask("GET", "/proxies") == (200, {})
    status, made = api.ask("POST", "/proxies", {"name": "a", "upstream": echo})
    assert status == 201 and made["listen"].startswith("127.0.0.1:") and made["toxics"] == [] and made["enabled"]
    assert api.ask("GET", "/proxies") == (200, {"a": made}) and api.ask("GET", "/proxies/a") == (200, made)
    status, off = api.ask("PATCH", "/proxies/a", {"enabled": False})
    assert status == 200 and off == {**made, "enabled": False}
    with pytest.raises(ConnectionRefusedError):
        host, port = made["listen"].split(":")
        socket.create_connection((host, int(port)), 5)
    assert api.ask("DELETE", "/proxies/a") == (204, "")
    assert api.ask("GET", "/proxies/a") == (404, {"error": "proxy not found", "status": 404})


@pytest.mark.parametrize("method, path, body, status, error", [
    ("POST", "/proxies", b"", 400, "bad request body: EOF"),
    ("POST", "/proxies", b"{", 400, "bad request body: "),
    ("POST", "/proxies", [], 400, "bad request body: "),
    ("POST", "/proxies", {"upstream": "a:1"}, 400, "missing required field: name"),
    ("POST", "/proxies", {"name": "b"}, 400, "missing required field: upstream"),
    ("POST", "/proxies", {"name": 1, "upstream": "a:1"}, 400, "bad request body: name must be a string"),
    ("POST", "/proxies", {"name": "p", "upstream": "a:1"}, 409, "proxy already exists"),
    ("POST", "/proxies", {"name": "b", "upstream": "a:1", "listen": "nowhere"}, 500, "listen tcp"),
    ("POST", "/populate", {"name": "b"}, 400, "bad request body: "),
    ("POST", "/populate", [{"name": "b"}], 400, "missing required field: upstream at proxy 1"),
    ("GET", "/proxies/p/toxics/t", None, 404, "toxic not found"),
    ("GET", "/proxies/q/toxics", None, 404, "proxy not found"),
    ("POST", "/proxies/p/toxics", {"type": "nonsense"}, 400, "invalid toxic type"),
    ("POST", "/proxies/p/toxics", {"type": "latency", "stream": "sideways"}, 400, "stream was invalid, can be either upstream or downstream"),
    ("POST", "/proxies/p/toxics", {"type": "latency", "attributes": {"latency": "x"}}, 400, "bad request body: latency must be"),
    ("POST", "/proxies/p/toxics", {"type": "latency", "toxicity": 2}, 400, "bad request body: toxicity"),
    ("POST", "/proxies/p/toxics", {"type": "idle_timeout", "attributes": {"time": 1}}, 400, "bad request body: idle_timeout has no attribute time"),
    ("POST", "/proxies/p/toxics", {"type": "slicer", "attributes": {"average_size": 5, "size_variation": 5}}, 400, "bad request body: size_variation"),
])
def test_a_fault_has_toxiproxys_status_and_words(api, method, path, body, status, error):
    assert api.ask("POST", "/proxies", {"name": "p", "upstream": "127.0.0.1:9"})[0] == 201
    got, answer = api.ask(method, path, body)
    assert got == answer["status"] == status and answer["error"].startswith(error), answer


def test_paths_and_methods_that_are_none(api):
    assert api.ask("GET", "/")[0] == 404 and api.ask("GET", "/proxies/a/b")[0] == 404 and api.ask("GET", "/reset")[0] == 404
    assert api.ask("PUT", "/proxies")[0] == 405
    assert api.ask("GET", "/proxies", headers={"User-Agent": "Mozilla/5.0"})[0] == 403
    assert api.ask("GET", "/proxies", headers={"Host": "evil.example"})[0] >= 400
    assert api.ask("GET", "/version")[1]["version"].startswith("2.")
    assert "holdfast_chaos_accepted_total" in api.ask("GET", "/metrics")[1]


def test_a_toxic_takes_hold_of_a_websocket_that_is_open_already(tmp_path):
    with Chaos(tmp_path, "--api", "127.0.0.1:0", "--profile", "none", "--backend", "echo") as b:
        api, c = Api(b.api), b.client()
        c.send_text("before")
        c.expect_text("before")
        assert api.ask("POST", "/proxies/chaos/toxics", {"type": "rate_limit", "name": "few", "attributes": {"messages": 1, "window": 60000}})[0] == 200
        c.send_text("one")
        c.expect_text("one")
        c.send_text("two")
        c.expect_close(1008)
        assert api.ask("PATCH", "/proxies/chaos/toxics/few", {"attributes": {"messages": 2, "code": 4002}})[0] == 200
        c = b.client()
        for text in ("one", "two"):
            c.send_text(text)
            c.expect_text(text)
        c.send_text("three")
        c.expect_close(4002)
        assert api.ask("DELETE", "/proxies/chaos/toxics/few")[0] == 204
        assert api.ask("GET", "/proxies/chaos/toxics") == (200, [])


def test_what_a_toxic_held_back_flows_when_it_is_gone_but_a_timeout_ends(tmp_path):
    with Chaos(tmp_path, "--api", "127.0.0.1:0", "--backend", "echo") as b:
        api, c = Api(b.api), b.client()
        api.ask("POST", "/proxies/chaos/toxics", {"type": "bandwidth", "attributes": {"rate": 0}})
        c.send_text("held")
        c.silent(0.2)
        api.ask("DELETE", "/proxies/chaos/toxics/bandwidth_downstream")
        c.expect_text("held")
        api.ask("POST", "/proxies/chaos/toxics", {"type": "timeout", "attributes": {"timeout": 0}})
        c.send_text("lost")
        c.silent(0.2)
        api.ask("DELETE", "/proxies/chaos/toxics/timeout_downstream")
        assert ending(c)[1] == "fin"


def test_toxicity_is_the_part_of_the_connections_that_suffers(tmp_path):
    with Chaos(tmp_path, "--api", "127.0.0.1:0", "--backend", "echo") as b:
        Api(b.api).ask("POST", "/proxies/chaos/toxics", {"type": "idle_timeout", "toxicity": 0.5, "attributes": {"timeout": 100}})
        clients = [b.client() for _ in range(40)]
        ends = []
        threads = [threading.Thread(target=lambda c=c: ends.append(ending(c, 1.0)[1])) for c in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert 8 <= ends.count("fin") <= 32, ends
        assert raw.Client(b.address).open()
