#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what holdfast costs beside nginx, HAProxy and a bare byte forwarder, and prints one table.

One proxy runs at a time, alone on core 0; the backend and the load generator share core 1. Every cell is
measured in rounds, the peers taking turns within a round; a value is the median of its rounds, a ratio the
median of the ratios within each round. README.md says what each row means."""

import argparse
import ctypes
import fcntl
import json
import os
import pathlib
import platform
import resource
import select
import signal
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field

HERE = pathlib.Path(__file__).resolve().parent
PROXY_CORE, LOAD_CORE = 0, 1
DESCRIPTORS = 20000
LATENCIES = ("p50", "p99", "p99_9")


class Failure(Exception):
    """One cell could not be measured; the text says why."""


# ---- rows -------------------------------------------------------------------------------------------------


@dataclass
class Row:
    name: str
    title: str
    mode: str  # of the load generator
    connections: int
    count: int = 0  # messages, chunks for each connection, handshakes
    quick_count: int = 0
    size: int = 64
    rate: float = 0
    seconds: float = 0
    tls: bool = False
    hf1: bool = False  # holdfast's clients hold sessions; the peers' are plain ones, whose figures it is compared with
    kind: str = "million"  # how the value is made: million, gigabyte, thousand, latency, idle, beats
    goals: dict = field(default_factory=dict)  # the largest ratio to each peer that counts as reached
    bytes_max: int = 0  # idle: the goal in bytes of process memory
    flags: tuple = ()  # for holdfast alone
    only: tuple = ()  # peers that can do this at all; empty: all
    default: bool = True


ROWS = [
    Row("echo-100", "1M echoes of 64 B, 100 connections", "echo", 100, 200_000, 30_000,
        goals={"forwarder": 1.10, "nginx": 1.0}),
    Row("echo-2000", "1M echoes of 64 B, 2,000 connections", "echo", 2000, 200_000, 30_000,
        goals={"forwarder": 1.20, "nginx": 1.0}),
    Row("echo-16k", "1M echoes of 16 KiB, 100 connections", "echo", 100, 60_000, 8_000, size=16384,
        goals={"forwarder": 1.15, "nginx": 1.0}),
    Row("chunks", "1M chunks of 128 B, 20,000/s over 1,000 connections", "stream", 1000, 100, 15, size=128,
        rate=20_000, goals={"forwarder": 1.15, "nginx": 1.0}),
    Row("flood", "1 GB in chunks of 4 KiB, 10 connections", "flood", 10, 50_000, 8_000, size=4096,
        kind="gigabyte", goals={"forwarder": 1.15, "nginx": 1.0}),
    Row("handshake", "1,000 handshakes, each with one echo and a close", "handshake", 50, 5_000, 1_000,
        kind="thousand", goals={"nginx": 1.0}),
    Row("heartbeat", "1M client pings and their pongs, 100 connections", "ping", 100, 200_000, 30_000),
    Row("heartbeat-own", "1M heartbeats of the gateway's own, every 1 s, 2,000 connections", "hold", 2000, 1, 1,
        seconds=6, kind="beats", flags=("--heartbeat-interval", "1s"), only=("holdfast",)),
    Row("latency", "latency of an echo at 5,000/s, open loop, 100 connections", "echo", 100, 50_000, 5_000,
        rate=5_000, kind="latency", goals={"nginx": 1.0}),
    Row("idle", "memory of an idle connection", "hold", 9000, 1, 1, kind="idle", bytes_max=768),
    Row("hf1-echo-100", "1M echoes of 64 B in sessions that can be resumed, 100 connections", "echo", 100, 200_000, 30_000,
        hf1=True, goals={"forwarder": 1.30}),
    Row("hf1-chunks", "1M chunks of 128 B, 20,000/s over 1,000 sessions", "stream", 1000, 100, 15, size=128, rate=20_000, hf1=True),
    Row("hf1-idle", "memory of an idle session", "hold", 9000, 1, 1, kind="idle", hf1=True, bytes_max=768 + 512),
    Row("tls-echo-100", "TLS 1.3: 1M echoes of 64 B, 100 connections", "echo", 100, 150_000, 20_000, tls=True,
        goals={"nginx": 1.0}),
    Row("tls-handshake", "TLS 1.3: 1,000 handshakes, each with one echo and a close", "handshake", 50, 2_000, 400,
        tls=True, kind="thousand", goals={"nginx": 1.0}),
    Row("tls-latency", "TLS 1.3: latency of an echo at 5,000/s", "echo", 100, 50_000, 5_000, rate=5_000, tls=True,
        kind="latency", goals={"nginx": 1.0}),
    Row("tls-idle", "TLS 1.3: memory of an idle connection", "hold", 9000, 1, 1, tls=True, kind="idle",
        bytes_max=16384),
    Row("tls-echo-2000", "TLS 1.3: 1M echoes of 64 B, 2,000 connections", "echo", 2000, 150_000, 20_000, tls=True,
        goals={"nginx": 1.0}, default=False),
    Row("tls-echo-16k", "TLS 1.3: 1M echoes of 16 KiB, 100 connections", "echo", 100, 40_000, 6_000, size=16384,
        tls=True, goals={"nginx": 1.0}, default=False),
    Row("tls-chunks", "TLS 1.3: 1M chunks of 128 B, 20,000/s over 1,000 connections", "stream", 1000, 100, 15,
        size=128, rate=20_000, tls=True, goals={"nginx": 1.0}, default=False),
    Row("tls-flood", "TLS 1.3: 1 GB in chunks of 4 KiB, 10 connections", "flood", 10, 30_000, 6_000, size=4096,
        tls=True, kind="gigabyte", goals={"nginx": 1.0}, default=False),
]

UNITS = {"million": "CPU s / 1M", "gigabyte": "CPU s / GB", "thousand": "CPU s / 1,000", "beats": "CPU s / 1M",
         "latency": "us", "idle": "bytes"}


# ---- processes --------------------------------------------------------------------------------------------


def child_setup(core):
    """Pins the child, gives it the descriptors, puts it before whatever else the machine does where that is permitted,
    and lets it end with this script however that ends."""
    realtime = Child.realtime

    def setup():
        os.setsid()
        if os.cpu_count() > 1:
            os.sched_setaffinity(0, {core})
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        try:
            if realtime:
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            else:
                os.setpriority(os.PRIO_PROCESS, 0, -15)
        except PermissionError:
            pass

    return setup


class Child:
    """A process of the bench. It is stopped by its own pid, whatever happens."""

    running = []
    realtime = False  # for the latency rows: other programs' time slices would be the tail that is measured

    def __init__(self, command, core, log, **pipes):
        self.log_path = log
        with open(log, "ab") as out:
            kept = {"stdout": out, "stderr": out, "stdin": subprocess.DEVNULL, **pipes}
            self.process = subprocess.Popen(command, preexec_fn=child_setup(core), **kept)
        Child.running.append(self)

    def pids(self):
        """The process and all below it: nginx's worker is a child of its master."""
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for task in list_dir(f"/proc/{pid}/task"):
                queue += [int(p) for p in read_text(f"/proc/{pid}/task/{task}/children").split()]
        return found

    def cpu_seconds(self):
        """User and system time of all threads. The scheduler's own sum is the same figure as utime + stime of
        /proc/PID/stat, in nanoseconds instead of ticks of 10 ms; where it is missing, the ticks are used."""
        total = 0.0
        for pid in self.pids():
            for task in list_dir(f"/proc/{pid}/task"):
                ran = read_text(f"/proc/{pid}/task/{task}/schedstat").split()
                if ran:
                    total += int(ran[0]) / 1e9
                else:
                    stat = read_text(f"/proc/{pid}/task/{task}/stat").rpartition(")")[2].split()
                    total += (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK") if stat else 0
        return total

    def pss_bytes(self):
        total = 0
        for pid in self.pids():
            for line in read_text(f"/proc/{pid}/smaps_rollup").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total

    def tail(self):
        lines = [line for line in read_text(self.log_path).splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"

    def stop(self):
        """The second SIGTERM cuts a drain short."""
        for number, patience in ((signal.SIGTERM, 1), (signal.SIGTERM, 3), (signal.SIGKILL, 5)):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(patience)
                except subprocess.TimeoutExpired:
                    continue
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        if self in Child.running:
            Child.running.remove(self)


def stop_all():
    for child in list(reversed(Child.running)):
        child.stop()


def read_text(path):
    try:
        return pathlib.Path(path).read_text()
    except OSError:
        return ""


def list_dir(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(child, port, name):
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if child.process.poll() is not None:
            raise Failure(f"{name} ended with status {child.process.returncode}: {child.tail()}")
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise Failure(f"{name} does not listen after 5 s: {child.tail()}")


# ---- the proxies ------------------------------------------------------------------------------------------

NGINX = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile {descriptors};
pid {work}/nginx.pid;
error_log {work}/nginx-error.log error;
events {{ worker_connections {connections}; use epoll; multi_accept on; }}
http {{
    access_log off;
    client_body_temp_path {work}/nginx-body;
    proxy_temp_path {work}/nginx-proxy;
    fastcgi_temp_path {work}/nginx-fastcgi;
    uwsgi_temp_path {work}/nginx-uwsgi;
    scgi_temp_path {work}/nginx-scgi;
    server {{
        listen 127.0.0.1:{port} reuseport backlog=4096{ssl};
        {certificate}
        location / {{
            proxy_pass http://127.0.0.1:{backend};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            {buffers}
            proxy_connect_timeout 10s;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
"""

HAPROXY = """
global
    nbthread 1
    maxconn {maxconn}
    tune.bufsize 16384
defaults
    mode http
    no log
    timeout connect 10s
    timeout client 1h
    timeout server 1h
    timeout http-request 10s
    timeout tunnel 1h
frontend front
    bind 127.0.0.1:{port} backlog 4096{ssl}
    maxconn {maxconn}
    default_backend back
backend back
    server one 127.0.0.1:{backend}
"""


class Bench:
    def __init__(self, args, work):
        self.args, self.work = args, work
        self.build = pathlib.Path(args.build)
        self.holdfast = pathlib.Path(args.holdfast) if args.holdfast else self.build / "holdfast"
        self.skipped, self.failures, self.cells = {}, [], {}

    def tool(self, name):
        for folder in (self.build / "bench", self.build):
            if (folder / f"bench-{name}").exists():
                return str(folder / f"bench-{name}")
        sys.exit(f"bench: there is no bench-{name} in {self.build}: build it with `ninja -C {self.build}`")

    def certificate(self):
        cert, key, both = (self.work / n for n in ("cert.pem", "key.pem", "both.pem"))
        if not both.exists():
            kind = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if self.args.key == "ec" else ["rsa:2048"]
            subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-days", "2", "-subj",
                            "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
            both.write_text(cert.read_text() + key.read_text())
        return cert, key, both

    # Each of these returns the command line of a proxy on `port` in front of `backend`.

    def forwarder_command(self, row, port, backend):
        if row.tls:
            raise Failure("the forwarder has no TLS")
        return [self.tool("forwarder"), str(port), str(backend)]

    def nginx_command(self, row, port, backend, buffer_kib=16):
        cert, key, _ = self.certificate()
        if row.kind == "idle":
            buffer_kib = 0  # its defaults: less memory, which is the side of it that this row is about
        buffers = "" if not buffer_kib else (f"proxy_buffer_size {buffer_kib}k; proxy_buffers 8 {buffer_kib}k; "
                                             f"proxy_busy_buffers_size {2 * buffer_kib}k;")
        config = self.work / "nginx.conf"
        config.write_text(NGINX.format(
            user="user root;" if os.geteuid() == 0 else "", work=self.work, port=port, backend=backend,
            descriptors=DESCRIPTORS, connections=DESCRIPTORS - 100, buffers=buffers, ssl=" ssl" if row.tls else "",
            certificate=f"ssl_certificate {cert}; ssl_certificate_key {key}; ssl_protocols TLSv1.3;"
            if row.tls else ""))
        return ["nginx", "-p", str(self.work), "-c", str(config)]

    def nginx_default_command(self, row, port, backend):
        return self.nginx_command(row, port, backend, buffer_kib=0)

    def haproxy_command(self, row, port, backend):
        both = self.certificate()[2]
        config = self.work / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=port, backend=backend, maxconn=DESCRIPTORS // 2 - 50,
                                         ssl=f" ssl crt {both} ssl-min-ver TLSv1.3" if row.tls else ""))
        return ["haproxy", "-db", "-q", "-f", str(config)]

    def holdfast_command(self, row, port, backend):
        if not self.holdfast.exists():
            raise Failure(f"there is no {self.holdfast}")
        tls = []
        if row.tls:
            cert, key, _ = self.certificate()
            tls = ["--tls-cert", str(cert), "--tls-key", str(key)]
        return [str(self.holdfast), "serve", "--listen", f"127.0.0.1:{port}", "--upstream",
                f"http://127.0.0.1:{backend}", "--workers", "1", *tls, *row.flags, *self.args.holdfast_flag]

    # ---- one measurement

    def load_start(self, row, peer, port, count, connections, mode=None, rate=None):
        command = [self.tool("load"), "--mode", mode or row.mode, "--port", str(port), "--connections",
                   str(connections), "--messages", str(count), "--size", str(row.size), "--rate",
                   str(row.rate if rate is None else rate), "--seconds",
                   str(row.seconds / 2 if self.args.quick else row.seconds), "--timeout", "120"]
        sessions = row.hf1 and peer == "holdfast" and mode is None
        command += ["--tls"] * row.tls + ["--hf1"] * sessions
        return Child(command, LOAD_CORE, self.work / "load.log",
                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def line_from(self, load, seconds=130):
        """One line of the load generator; a fault it found, or its end, is this cell's failure."""
        deadline = time.monotonic() + seconds
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([load.process.stdout], [], [], max(0, deadline - time.monotonic()))[0]:
                raise Failure(f"the load generator said nothing for {seconds} s")
            more = os.read(load.process.stdout.fileno(), 1)
            if not more:
                raise Failure(f"the load generator ended: {load.tail()}")
            line += more
        text = line.decode().strip()
        if text.startswith("{"):
            result = json.loads(text)
            if result["errors"]:
                raise Failure(result["error"])
            return result
        return text

    def load_end(self, load):
        load.process.stdin.close()
        load.process.wait(20)
        load.stop()

    def warm_up(self, row, port):
        """Pages in the code and the first allocations, which are not what a connection costs."""
        load = self.load_start(row, None, port, 40, 20, mode="handshake", rate=0)
        self.line_from(load, 20)
        load.process.stdin.write(b"go\n")
        load.process.stdin.flush()
        self.line_from(load, 20)
        self.load_end(load)

    def backend_stats(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=10) as answer:
            return json.load(answer)

    def measure(self, row, peer):
        """Runs one proxy with its own backend through one row and returns the figures."""
        log = self.work / f"{peer}.log"
        log.write_text("")
        Child.realtime = row.kind == "latency"
        backend = Child([self.tool("backend"), "0"], LOAD_CORE, self.work / "backend.log",
                        stdout=subprocess.PIPE)
        backend_port = int(backend.process.stdout.readline())
        port = free_port()
        command = getattr(self, peer.replace("-", "_") + "_command")(row, port, backend_port)
        try:
            proxy = Child(command, PROXY_CORE, log)
        except FileNotFoundError:
            raise Failure(f"{command[0]} is not installed") from None
        wait_for_port(proxy, port, peer)
        self.warm_up(row, port)
        time.sleep(0.1)
        count = row.quick_count if self.args.quick else row.count
        connections = 2000 if self.args.quick and row.kind == "idle" else row.connections
        if row.kind == "idle":
            return self.measure_idle(row, peer, port, proxy, connections)
        load = self.load_start(row, peer, port, count, connections)
        self.line_from(load)
        pings = self.backend_stats(backend_port)["pings"] if row.kind == "beats" else 0
        before = proxy.cpu_seconds()
        load.process.stdin.write(b"go\n")
        load.process.stdin.flush()
        result = self.line_from(load)
        used = proxy.cpu_seconds() - before
        if row.kind == "beats":
            pings = self.backend_stats(backend_port)["pings"] - pings + result["pings"]
        self.load_end(load)
        figures = {"cpu_s": used, "messages": result["messages"], "seconds": result["seconds"]}
        if row.kind == "latency":
            for rank in LATENCIES:
                figures[rank] = result[f"{rank}_us"]
            return figures
        if row.kind == "beats":
            if not pings:
                raise Failure("no heartbeat came")
            figures["messages"] = pings
        units = {"gigabyte": result["bytes"] / 1e9, "thousand": result["messages"] / 1e3}
        figures["value"] = used / units.get(row.kind, figures["messages"] / 1e6)
        return figures

    def measure_idle(self, row, peer, port, proxy, connections):
        time.sleep(0.2)
        before, kernel_before = proxy.pss_bytes(), kernel_socket_bytes()
        load = self.load_start(row, peer, port, 1, connections)
        self.line_from(load)
        time.sleep(2.5 if row.hf1 else 1.0)  # until the last acknowledgement has emptied the journals
        after, kernel_after = proxy.pss_bytes(), kernel_socket_bytes()
        self.load_end(load)
        figures = {"process": (after - before) / connections, "connections": connections}
        if kernel_after is not None and kernel_before is not None:
            figures["kernel"] = (kernel_after - kernel_before) / connections / 2
        return figures

    # ---- all of them

    def run(self, rows, peers):
        for row in rows:
            for number in range(self.args.rounds):
                for peer in peers:
                    if peer in self.skipped or (row.only and peer not in row.only):
                        continue
                    progress(f"{row.name} round {number + 1}/{self.args.rounds}: {peer}")
                    try:
                        figures = self.measure(row, peer)
                        self.cells.setdefault((row.name, peer), {})[number] = figures
                    except Failure as why:
                        self.note(row, peer, str(why))
                    except OSError as why:  # a pipe that broke because the other end is gone
                        self.note(row, peer, f"{type(why).__name__}: {why}")
                    finally:
                        stop_all()
        progress("")

    def note(self, row, peer, why):
        if peer == "forwarder" and row.tls:
            return
        started = any(name == peer for _, name in self.cells)
        unusable = "there is no" in why or "is not installed" in why or "ended with status" in why
        if unusable and not started:
            self.skipped[peer] = why
        else:
            self.failures.append(f"{row.name}, {peer}: {why}")

    def value(self, row, peer, key):
        found = [f[key] for f in self.cells.get((row.name, peer), {}).values() if key in f]
        return statistics.median(found) if found else None

    def ratio(self, row, peer, other, key):
        mine, theirs = (self.cells.get((row.name, p), {}) for p in (peer, other))
        found = [mine[n][key] / theirs[n][key] for n in mine
                 if n in theirs and key in mine[n] and theirs[n].get(key, 0) > 0]
        return statistics.median(found) if found else None


SOCKET_CACHES = ("TCP", "TCPv6", "sock_inode_cache", "filp", "eventpoll_epi", "eventpoll_pwq", "tcp_bind_bucket",
                 "tcp_bind2_bucket", "request_sock_TCP")


def kernel_socket_bytes():
    """What sockets take in the kernel's slabs, of every process. The bench's own two ends of a connection hold as many
    sockets as the proxy, so half of the growth is the proxy's. None where /proc/slabinfo cannot be read."""
    total, files, entry = 0, 0, 0
    text = read_text("/proc/slabinfo")
    for line in text.splitlines():
        part = line.split()
        if part and part[0] in SOCKET_CACHES:
            total += int(part[1]) * int(part[3])
        if part and part[0] == "sock_inode_cache":
            files = int(part[1])
        if part and part[0] == "dentry":
            entry = int(part[3])
    return total + files * entry if text else None


# ---- the surroundings -------------------------------------------------------------------------------------


def own_network(argv):
    """Starts this script again in a network namespace of its own where that is permitted: there loopback can be set to
    reno and nothing of the machine's has to be put back afterwards."""
    if os.environ.get("BENCH_NETWORK") or not sys.platform.startswith("linux"):
        return
    for unshare in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        try:
            if subprocess.run([*unshare, "true"], capture_output=True).returncode == 0:
                os.environ["BENCH_NETWORK"] = "own"
                os.execvp(unshare[0], [*unshare, sys.executable, *argv])
        except FileNotFoundError:
            break
    os.environ["BENCH_NETWORK"] = "shared"


def network_setup():
    """Loopback up and under reno (bbr paces, which is not what is measured), in our own namespace only.
    Returns the congestion control in use."""
    control = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control")
    if os.environ["BENCH_NETWORK"] == "own":
        with socket.socket() as s:
            name = b"lo".ljust(16, b"\0")
            flags = struct.unpack("16xH", fcntl.ioctl(s, 0x8913, name + bytes(16))[:18])[0]
            fcntl.ioctl(s, 0x8914, name + struct.pack("H", flags | 1) + bytes(14))  # SIOCSIFFLAGS, IFF_UP
        try:
            control.write_text("reno")
        except OSError:
            pass
    return read_text(control).strip() or "unknown"


def one_at_a_time():
    lock = open(pathlib.Path(tempfile.gettempdir()) / "holdfast-bench.lock", "a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("bench: another bench is running, waiting for its end", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def version_of(command, pick):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return "not installed"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return pick(lines[0]) if lines else "unknown"


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


# ---- the table --------------------------------------------------------------------------------------------


def lines_of(row):
    """The lines of the table that a row makes: its key in the figures, its name, its unit."""
    if row.kind == "latency":
        return [(rank, f"{row.name} {rank.replace('_', '.')}", "us") for rank in LATENCIES]
    if row.kind == "idle":
        return [("process", f"{row.name} process", "bytes"), ("kernel", f"{row.name} kernel", "bytes")]
    return [("value", row.name, UNITS[row.kind])]


def shown(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def goals_of(bench, row, key):
    """(text, reached) for each goal of holdfast on this line."""
    found = []
    if row.kind == "idle" and key == "process" and row.bytes_max:
        value = bench.value(row, "holdfast", key)
        if value is not None:
            found.append((f"at most {row.bytes_max:,} bytes: {value:,.0f}", value <= row.bytes_max))
    if row.kind == "latency" and key != "p99":
        return found
    for peer, most in row.goals.items():
        ratio = bench.ratio(row, "holdfast", peer, key)
        if ratio is not None:
            found.append((f"at most {most:.2f} x {peer}: {ratio:.2f}", ratio <= most))
    if row.name.startswith("heartbeat"):
        mine, echo = bench.value(row, "holdfast", key), bench.value(ROWS[0], "forwarder", "value")
        if mine and echo:
            found.append((f"at most 1.60 x the forwarder's echo-100: {mine / echo:.2f}", mine / echo <= 1.6))
    return found


def table(bench, rows, peers):
    """Every value with its ratio to the forwarder (to nginx where the forwarder has none), then holdfast's three."""
    others = [p for p in ("forwarder", "nginx", "haproxy") if p in peers]
    ours = "holdfast" in peers and "holdfast" not in bench.skipped
    head = ["row", "unit", *peers] + ([f"holdfast/{p}" for p in others] if ours else [])
    body = []
    for row in rows:
        for key, name, unit in lines_of(row):
            line = [name, unit]
            base = "nginx" if row.tls or row.kind == "idle" and key == "process" else "forwarder"
            for peer in peers:
                value, ratio = bench.value(row, peer, key), bench.ratio(row, peer, base, key)
                line.append(shown(value) + (f" ({ratio:.2f})" if ratio and peer != base else ""))
            if ours:
                for other in others:
                    ratio = bench.ratio(row, "holdfast", other, key)
                    line.append(f"{ratio:.2f}" if ratio else "-")
            body.append(line)
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    for line in [head, ["-" * w for w in widths], *body]:
        print("  ".join(text.ljust(w) if i < 2 else text.rjust(w)
                        for i, (text, w) in enumerate(zip(line, widths))).rstrip())


def report(bench, rows, peers, surroundings):
    print(f"\n{surroundings['kernel']}, {surroundings['cpus']} cores, {surroundings['network']}, "
          f"TCP {surroundings['congestion_control']}, {bench.args.rounds} round(s), medians"
          + (", quick counts" if bench.args.quick else ""))
    print(", ".join(f"{k} {v}" for k, v in surroundings["versions"].items()))
    print("CPU of the proxy alone, scaled from fewer (see README.md); in brackets the ratio to the forwarder, for TLS and "
          "process memory to nginx.\n")
    table(bench, rows, peers)
    print()
    for row in rows:
        for key, name, _ in lines_of(row):
            for text, reached in goals_of(bench, row, key):
                print(f"{'reached' if reached else 'MISSED '}  {name}: {text}")
    for peer, why in bench.skipped.items():
        print(f"skipped  {peer}: {why}")
    for why in bench.failures:
        print(f"FAILED   {why}")


def document(bench, rows, peers, surroundings):
    out = {**surroundings, "rounds": bench.args.rounds, "quick": bench.args.quick, "skipped": bench.skipped,
           "failures": bench.failures, "rows": []}
    for row in rows:
        for key, name, unit in lines_of(row):
            entry = {"row": name, "title": row.title, "unit": unit, "connections": row.connections, "peers": {}}
            for peer in peers:
                if bench.value(row, peer, key) is None:
                    continue
                cells = bench.cells[(row.name, peer)]
                entry["peers"][peer] = {
                    "median": bench.value(row, peer, key),
                    "rounds": [cells[n] for n in sorted(cells)],
                    "ratio": {o: bench.ratio(row, peer, o, key) for o in ("forwarder", "nginx", "haproxy")
                              if bench.ratio(row, peer, o, key) is not None}}
            entry["goals"] = [{"goal": t, "reached": r} for t, r in goals_of(bench, row, key)]
            out["rows"].append(entry)
    return out


def arguments():
    all_peers = ["forwarder", "nginx", "haproxy", "holdfast", "nginx-default"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="ROW",
                        help="measure these rows (may repeat, or name several with commas); see --list")
    parser.add_argument("--peers", default="forwarder,nginx,haproxy,holdfast", metavar="LIST",
                        help="of " + ",".join(all_peers) + "; default: %(default)s")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 3, with --quick 1")
    parser.add_argument("--quick", action="store_true", help="small counts, under a minute, for a first look")
    parser.add_argument("--json", metavar="FILE", help="also write everything as JSON")
    parser.add_argument("--build", default=str(HERE.parent / "build"), metavar="DIR", help="default: %(default)s")
    parser.add_argument("--holdfast", metavar="PROGRAM", help="default: holdfast in the build directory")
    parser.add_argument("--holdfast-flag", action="append", default=[], metavar="FLAG",
                        help="one more argument for `holdfast serve` (may repeat; write --holdfast-flag=--x)")
    parser.add_argument("--key", choices=("ec", "rsa"), default="ec", help="the certificate's key: P-256 or RSA 2048")
    parser.add_argument("--keep", metavar="DIR", help="keep configurations and logs there")
    parser.add_argument("--list", action="store_true", help="list the rows and end")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 3)
    args.peers = args.peers.split(",")
    args.only = [name for text in args.only for name in text.split(",")]
    known = [row.name for row in ROWS]
    for name in args.only:
        if name not in known:
            parser.error(f"there is no row {name}; the rows are: {' '.join(known)}")
    for name in args.peers:
        if name not in all_peers:
            parser.error(f"there is no peer {name}; the peers are: {' '.join(all_peers)}")
    return args


def main():
    args = arguments()
    if args.list:
        for row in ROWS:
            print(f"{row.name:15} {row.title}{'' if row.default else ' (only when asked for)'}")
        return 0
    own_network([str(HERE / "bench.py"), *sys.argv[1:]])
    lock = one_at_a_time()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job starts with it ignored
    congestion_control = network_setup()
    rows = [row for row in ROWS if (row.name in args.only if args.only else row.default)]
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        work = pathlib.Path(args.keep or folder)
        work.mkdir(parents=True, exist_ok=True)
        bench = Bench(args, work.resolve())
        surroundings = {
            "date": time.strftime("%Y-%m-%d %H:%M"), "kernel": f"Linux {platform.release()}",
            "cpus": os.cpu_count(), "congestion_control": congestion_control,
            "network": "own network namespace" if os.environ["BENCH_NETWORK"] == "own"
            else "the machine's network",
            "versions": {"nginx": version_of(["nginx", "-v"], lambda s: s.rpartition("/")[2]),
                         "HAProxy": version_of(["haproxy", "-v"], lambda s: s.split()[2]),
                         "OpenSSL": version_of(["openssl", "version"], lambda s: s.split()[1]),
                         "holdfast": version_of([str(bench.holdfast), "--version"], lambda s: s.split()[-1])}}
        began = time.monotonic()
        try:
            bench.run(rows, args.peers)
        except KeyboardInterrupt:
            progress("")
            print("interrupted: what was measured so far", file=sys.stderr)
        finally:
            stop_all()
        surroundings["seconds"] = round(time.monotonic() - began)
        report(bench, rows, args.peers, surroundings)
        if args.json:
            pathlib.Path(args.json).write_text(json.dumps(document(bench, rows, args.peers, surroundings), indent=1))
    lock.close()
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
