# SPDX-License-Identifier: Apache-2.0
"""Real servers whose logs are kept: nginx, HAProxy (its syslog is received here), Daphne, Uvicorn, gunicorn, Node. What they write is
what `holdfast logs` has to read. With HOLDFAST_SAMPLES=FOLDER the tests leave their logs there: tests/vectors/logs is made so."""
import os
import re
import socket
import threading
from pathlib import Path

from .process import free_port, wait_for
from .servers import HERE, PYTHON, Server, node_ready

APP = HERE / "backends"
TIMED = ("$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" "
         "rt=$request_time urt=$upstream_response_time ua=$upstream_addr cn=$connection")
JSON = ("{\"time\":\"$time_iso8601\",\"remote_addr\":\"$remote_addr\",\"request\":\"$request\",\"status\":$status,"
        "\"body_bytes_sent\":$body_bytes_sent,\"request_time\":$request_time,\"upstream_addr\":\"$upstream_addr\","
        "\"upstream_response_time\":\"$upstream_response_time\"}")
TRAILING = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $request_time"


class Nginx(Server):
    """Four access logs at once (combined, timed, JSON, a trailing number) and the error log at `info`."""

    def __init__(self, folder, upstream_port, read_timeout="1s", send_timeout="60s", connections=256, more="", top="", syslog=None):
        port = free_port()
        self.home = Path(folder) / f"nginx-{port}"
        self.home.mkdir()
        self.conf = self.home / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        if syslog:
            top += f" error_log syslog:server=127.0.0.1:{syslog.port} info;"
            more += f" access_log syslog:server=127.0.0.1:{syslog.port} timed;"
        self.conf.write_text(f"""
daemon off; {user} pid {self.home}/pid; error_log {self.home}/error.log info; worker_processes 1; {top}
events {{ worker_connections {connections}; }}
http {{
    log_format timed '{TIMED}'; log_format json escape=json '{JSON}'; log_format trailing '{TRAILING}';
    access_log {self.home}/combined.log; access_log {self.home}/timed.log timed;
    access_log {self.home}/json.log json; access_log {self.home}/trailing.log trailing;
    client_body_temp_path {self.home}/body; proxy_temp_path {self.home}/proxy; fastcgi_temp_path {self.home}/fastcgi;
    uwsgi_temp_path {self.home}/uwsgi; scgi_temp_path {self.home}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream_port};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_read_timeout {read_timeout}; proxy_send_timeout {send_timeout}; {more}
        }}
    }}
}}
""")
        super().__init__(folder, "nginx", ["nginx", "-c", self.conf, "-p", self.home, "-e", self.home / "error.log"], port)

    def log(self, name="timed"):
        return self.home / f"{name}.log"

    def lines(self, name="timed"):
        path = self.log(name)
        return path.read_text(errors="replace").splitlines() if path.exists() else []

    def wait_lines(self, wanted, name="timed", count=1, within=15):
        """Waits for so many lines that hold the text."""
        return wait_for(lambda: sum(wanted in line for line in self.lines(name)) >= count,
                        lambda: f"{count} lines with {wanted!r} in {name}.log; have {self.lines(name)[-5:]}", within)

    def signal_master(self, number):
        os.kill(int((self.home / "pid").read_text()), number)

    def workers(self):
        """The pids of the workers that run now."""
        children = Path(f"/proc/{self.pid()}/task/{self.pid()}/children").read_text().split()
        return [int(pid) for pid in children]

    def pid(self):
        return int((self.home / "pid").read_text())


class Syslog:
    """Receives syslog datagrams, as rsyslog would, and keeps them as lines of a file."""

    def __init__(self, folder):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.path = Path(folder) / f"syslog-{self.port}.log"
        self.path.write_text("")
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self):
        while True:
            try:
                data = self.sock.recv(65536)
            except OSError:
                return
            with open(self.path, "ab") as file:
                file.write(data.rstrip(b"\n") + b"\n")

    def lines(self):
        return self.path.read_text(errors="replace").splitlines()

    def wait_lines(self, wanted, count=1, within=15):
        return wait_for(lambda: sum(bool(re.search(wanted, line)) for line in self.lines()) >= count,
                        lambda: f"{count} lines with {wanted!r}; have {self.lines()[-5:]}", within)

    def stop(self):
        self.sock.close()


def keep_sample(path, name):
    """A copy of a log for tests/vectors/logs, when samples are asked for; without paths and name of the machine."""
    folder = os.environ.get("HOLDFAST_SAMPLES")
    if folder:
        text = Path(path).read_text(errors="replace").replace(str(HERE.parents[1]) + "/", "")
        text = text.replace(f" {socket.gethostname()} ", " host ")
        (Path(folder) / name).write_text(text)


def haproxy(folder, upstream_port, syslog, tunnel="1s", client="30s", form="rfc3164", more=""):
    port = free_port()
    file = Path(folder) / f"haproxy-log-{port}.cfg"
    file.write_text(f"""
global
    maxconn 1000
    log 127.0.0.1:{syslog.port} format {form} local0 info
    {more}
defaults
    mode http
    log global
    option httplog
    timeout connect 5s
    timeout client {client}
    timeout server 30s
    timeout tunnel {tunnel}
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    server one 127.0.0.1:{upstream_port}
""")
    return Server(folder, "haproxy-log", ["haproxy", "-db", "-f", file], port)


def daphne(folder, *words):
    port = free_port()
    return Server(folder, "daphne-log", [PYTHON, "-m", "daphne", "-b", "127.0.0.1", "-p", port, "--access-log", "-", *words,
                                         "logged_app:application"], port, {"PYTHONDONTWRITEBYTECODE": "1"}, APP)


def uvicorn(folder, *words):
    port = free_port()
    return Server(folder, "uvicorn-log", [PYTHON, "-m", "uvicorn", "--host", "127.0.0.1", "--port", port, *words,
                                          "logged_app:application"], port, {"PYTHONDONTWRITEBYTECODE": "1"}, APP)


def gunicorn(folder, *words):
    port = free_port()
    return Server(folder, "gunicorn-log", [PYTHON, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-k", "uvicorn.workers.UvicornWorker",
                                           *words, "logged_app:application"], port, {"PYTHONDONTWRITEBYTECODE": "1"}, APP)


def node(folder):
    port = free_port()
    return Server(folder, "node-log", ["node", HERE / "node" / "logged.js", port], port, {"NODE_PATH": node_ready() / "node_modules"})
