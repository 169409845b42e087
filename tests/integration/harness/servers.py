# SPDX-License-Identifier: Apache-2.0
"""The real servers around the gateway: applications behind it, nginx and HAProxy on either side of it."""
import os
import subprocess
from pathlib import Path

from .process import Process, free_port

HERE = Path(__file__).resolve().parents[1]
PYTHON = "/usr/bin/python3"  # Debian's, which Debian's Django, FastAPI and websockets belong to


class Server:
    def __init__(self, folder, name, argv, port, env=None, cwd=None):
        self.port = port
        self.address = ("127.0.0.1", port)
        self.url = f"http://127.0.0.1:{port}"
        self.ws = f"ws://127.0.0.1:{port}"
        self.process = Process(argv, folder, f"{name}-{port}", env=env, cwd=cwd)

    def wait(self):
        self.process.wait_listening(self.address)
        return self

    def stop(self):
        self.process.stop(2)


def inbox(folder, secret, port=None):
    port = port or free_port()
    return Server(folder, "daphne", [PYTHON, "-m", "daphne", "-b", "127.0.0.1", "-p", port, "inbox:application"], port,
                  {"INBOX_SECRET": secret, "PYTHONDONTWRITEBYTECODE": "1"}, HERE / "backends")


def chat(folder, token, port=None):
    port = port or free_port()
    return Server(folder, "uvicorn", [PYTHON, "-m", "uvicorn", "--host", "127.0.0.1", "--port", port, "--ws-ping-interval",
                                      "3600", "--log-level", "warning", "chat:application"], port,
                  {"CHAT_TOKEN": token, "PYTHONDONTWRITEBYTECODE": "1"}, HERE / "backends")


NUMBERS = {
    "daphne": ["-m", "daphne", "-b", "127.0.0.1", "-p", None, "numbers_channels:application"],
    "uvicorn": ["-m", "uvicorn", "--host", "127.0.0.1", "--port", None, "--log-level", "warning", "numbers_fastapi:application"],
}


def numbers(folder, kind, port=None, log=None):
    """The backend of numbered messages under its server's own defaults: pings every 20 s."""
    port = port or free_port()
    env = {"PYTHONDONTWRITEBYTECODE": "1", **({"NUMBERED_LOG": log} if log else {})}
    return Server(folder, f"numbers-{kind}", [PYTHON, *(port if word is None else word for word in NUMBERS[kind])], port, env,
                  HERE / "backends")


def echo(folder, port=None):
    port = port or free_port()
    return Server(folder, "echo", [PYTHON, HERE / "backends" / "echo.py", port], port)


def node_ready():
    """Installs what package-lock.json pins, once."""
    folder = HERE / "node"
    if not (folder / "node_modules" / ".package-lock.json").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True, capture_output=True, timeout=300)
    return folder


def node(folder, port=None):
    port = port or free_port()
    return Server(folder, "node", ["node", node_ready() / "server.js", port], port)


def nginx(folder, upstream_port, read_timeout="5s", main="", http="", location=""):
    """nginx as many set it up for WebSockets, in front of 127.0.0.1:upstream_port. main, http, location: more lines there."""
    port = free_port()
    home = Path(folder) / f"nginx-{port}"
    home.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    (home / "nginx.conf").write_text(f"""
daemon off; {user} pid {home}/pid; error_log {home}/error.log; worker_processes 1; {main}
events {{ worker_connections 1024; }}
http {{
    access_log off; {http}
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            {location}
            proxy_pass http://127.0.0.1:{upstream_port};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_read_timeout {read_timeout};
        }}
    }}
}}
""")
    return Server(folder, "nginx", ["nginx", "-c", home / "nginx.conf", "-p", home, "-e", home / "error.log"], port)


def nginx_plain(folder, upstream_port, buffering):
    """nginx as it is without a thought of WebSockets: HTTP/1.0 to the upstream, answers buffered or not."""
    port = free_port()
    home = Path(folder) / f"nginx-plain-{port}"
    home.mkdir()
    user = "user root;" if os.geteuid() == 0 else ""
    (home / "nginx.conf").write_text(f"""
daemon off; {user} pid {home}/pid; error_log {home}/error.log; worker_processes 1;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{upstream_port};
            proxy_set_header Host $host;
            proxy_buffering {buffering};
        }}
    }}
}}
""")
    return Server(folder, "nginx", ["nginx", "-c", home / "nginx.conf", "-p", home, "-e", home / "error.log"], port)


def haproxy(folder, upstream_port, tunnel="5s", send_proxy="", settings="", words=("-db",)):
    """send_proxy: "", "send-proxy" or "send-proxy-v2". settings: more lines of `global`; words: how it is started."""
    port = free_port()
    file = Path(folder) / f"haproxy-{port}.cfg"
    file.write_text(f"""
global
    maxconn 1000
    {settings}
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
    timeout tunnel {tunnel}
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    server one 127.0.0.1:{upstream_port} {send_proxy}
""")
    return Server(folder, "haproxy", ["haproxy", *words, "-f", file], port)
