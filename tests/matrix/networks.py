# SPDX-License-Identifier: Apache-2.0
"""Killers in the network itself: an application in a network namespace of its own, and nftables on the way to it. They need root."""
import itertools
import os
import shutil
import subprocess
import threading

from scene import CannotRun
from truth import Truth

_numbers = itertools.count(1)
_lock = threading.Lock()


def run(*words, check=True):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False, timeout=20)
    if check and done.returncode != 0:
        raise CannotRun(f"{' '.join(map(str, words))}: {done.stderr.strip()}")
    return done


class Network:
    """A namespace with one interface; `address` is its end, the way there is a veth pair."""

    def __init__(self, scene):
        if os.geteuid() != 0:
            raise CannotRun("network namespaces need root")
        for program in ("ip", "nft", "ss"):
            if shutil.which(program) is None:
                raise CannotRun(f"`{program}` is not there")
        with _lock:
            number = next(_numbers) + os.getpid() * 64
        self.name, self.ours, self.theirs = f"hfm{number}", f"hfo{number % 1000000}", f"hft{number % 1000000}"
        third, fourth = (number >> 6) & 255, (number & 63) * 4
        self.here, self.address = f"10.77.{third}.{fourth + 1}", f"10.77.{third}.{fourth + 2}"
        run("ip", "netns", "add", self.name)
        scene.stack.callback(self.stop)
        run("ip", "link", "add", self.ours, "type", "veth", "peer", "name", self.theirs)
        run("ip", "link", "set", self.theirs, "netns", self.name)
        run("ip", "addr", "add", f"{self.here}/30", "dev", self.ours)
        run("ip", "link", "set", self.ours, "up")
        self.inside("ip", "addr", "add", f"{self.address}/30", "dev", self.theirs)
        self.inside("ip", "link", "set", self.theirs, "up")
        self.inside("ip", "link", "set", "lo", "up")

    def inside(self, *words, check=True):
        return run("ip", "netns", "exec", self.name, *words, check=check)

    def rules(self, *rules):
        """Replaces what the namespace does to what comes in and goes out."""
        text = "flush ruleset\ntable inet matrix {\n"
        for hook in ("input", "output"):
            text += f" chain {hook} {{ type filter hook {hook} priority 0; policy accept;\n" + "".join(f"  {r}\n" for r in rules) + " }\n"
        done = subprocess.run(["ip", "netns", "exec", self.name, "nft", "-f", "-"], input=text + "}\n", capture_output=True, text=True,
                              check=False, timeout=20)
        if done.returncode != 0:
            raise CannotRun(f"nft: {done.stderr.strip()}")

    def stop(self):
        run("ip", "netns", "del", self.name, check=False)
        run("ip", "link", "del", self.ours, check=False)


def echo_in(scene, network, answer=None):
    server = scene.uvicorn({"answer": answer or scene.choose("answer", "echo", "silent")}, host=network.address,
                           before=("ip", "netns", "exec", network.name))
    server.address = (network.address, server.port)
    server.wait()
    scene.url = f"ws://{network.address}:{server.port}/"
    return server


def network_random_loss(scene):
    """A share of all packets is lost, both ways: long retransmissions, stalled answers."""
    network = Network(scene)
    echo_in(scene, network, "echo")
    share = scene.draw("percent", 30, 45, 0)
    network.rules(f"numgen random mod 100 < {share} drop")
    scene.options += ["--send", '{"n":1}', "--every", "500ms"]
    scene.truth = Truth("network", note=f"{share} % lost")


def network_link_down(scene):
    """The link goes away while the connections are open, without a word to either end."""
    network = Network(scene)
    echo_in(scene, network)
    after = scene.draw("after", 4, 9)
    done = []

    def down():
        if not done:
            done.append(True)
            network.inside("ip", "link", "set", network.theirs, "down", check=False)
    scene.every(3600, down, after)
    scene.truth = Truth("network")


def network_flows_lost(scene):
    """A hand-over: from time to time all packets of the flows that are there are dropped, and new flows pass."""
    network = Network(scene)
    server = echo_in(scene, network)
    period = scene.draw("period", 6, 10)

    def lose():
        done = run("ss", "-Htn", "-N", network.name, "state", "established", check=False)
        ends = [line.split()[-2:] for line in done.stdout.splitlines()]
        ports = {theirs.rsplit(":", 1)[1] for ours, theirs in ends if ours.endswith(f":{server.port}")}
        if ports:
            known.update(ports)
            some = ", ".join(sorted(known))
            network.rules(f"tcp sport {{ {some} }} drop", f"tcp dport {{ {some} }} drop")
    known = set()
    scene.every(3600, lose, period)
    scene.truth = Truth("network")


def network_conntrack_expired(scene):
    """Connection tracking forgets a flow that was silent so long, and what comes then belongs to nothing: it is dropped."""
    network = Network(scene)
    timer = scene.draw("timer", 3, 8, 0)
    network.rules("ct state established accept", "ct state invalid drop", "tcp flags & (syn|ack) == syn accept", "meta l4proto tcp ct state new drop")
    for name, value in (("nf_conntrack_tcp_loose", 0), ("nf_conntrack_tcp_timeout_established", timer)):
        if network.inside("sh", "-c", f"echo {value} >/proc/sys/net/netfilter/{name}", check=False).returncode != 0:
            raise CannotRun(f"net.netfilter.{name} cannot be set here")
    echo_in(scene, network)
    scene.truth = Truth("idle_timer", timer, timer + 1, also=("network",), note="a path that forgets silently is both")


def register(table):
    for function in (network_random_loss, network_link_down, network_flows_lost, network_conntrack_expired):
        table[function.__name__.replace("_", "-")] = function


