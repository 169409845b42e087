# SPDX-License-Identifier: Apache-2.0
"""Checks a killer without holdfast: a plain client of python3-websockets dies there as the truth says."""
import asyncio
import time

import websockets
from scene import raw


def connect(url, **how):
    return websockets.connect(url, ping_interval=None, max_size=None, compression=None, open_timeout=10, close_timeout=1, **how)


async def ended(socket, within):
    """(age of the end or None, close code); the age counts from the call."""
    begun = time.monotonic()

    async def read():
        while True:
            await socket.recv()
    try:
        await asyncio.wait_for(read(), within)
    except asyncio.TimeoutError:
        return None, None
    except (websockets.ConnectionClosed, OSError):
        pass
    return time.monotonic() - begun, socket.close_code


async def silent(url, within):
    async with connect(url) as socket:
        return await ended(socket, within)


# Where answers are kept as they come, and who answers lives.
DEAF = ("tight-ping-window", "chaos-uvicorn-ping", "chaos-daphne-ping", "chaos-node-heartbeat-30s")


def deaf(url, within):
    """As silent, of a client that answers no ping."""
    host, port = url.split("/")[2].split(":")
    client = raw.Client((host, int(port))).open("/")
    begun = time.monotonic()
    try:
        while (left := within - (time.monotonic() - begun)) > 0:
            if client.read_frame(left).opcode == raw.CLOSE:
                return time.monotonic() - begun
    except raw.Ended:
        return time.monotonic() - begun
    except AssertionError:
        pass
    return None


async def talking(url, every, within, text="m"):
    """As silent, with how many messages were sent."""
    sent = 0
    async with connect(url) as socket:
        async def say():
            nonlocal sent
            while socket.open:
                await socket.send(text)
                sent += 1
                await asyncio.sleep(every)
        speaker = asyncio.ensure_future(say())
        age, code = await ended(socket, within)
        speaker.cancel()
        await asyncio.wait([speaker])
    return age, code, sent


async def pinging(url, every, within):
    """(longest wait for a pong that came, from the last pong to the end or None when it did not end)."""
    begun, last, longest = time.monotonic(), 0.0, 0.0
    async with connect(url) as socket:
        async def ping():
            nonlocal last, longest
            while socket.open:
                await (await socket.ping())
                longest = max(longest, time.monotonic() - begun - last)
                last = time.monotonic() - begun
                await asyncio.sleep(every)
        pinger = asyncio.ensure_future(ping())
        age, _ = await ended(socket, within)
        pinger.cancel()
        await asyncio.wait([pinger])
    return longest, age and age - last


def near(value, truth, slack=0.35):
    """Within the range, and what a loaded machine may be late by."""
    high = truth.low if truth.high is None else truth.high
    return value is not None and truth.low - 0.15 <= value <= high + slack + 0.05 * high


async def idle_timer(scene, truth):
    age, code = await silent(scene.url, truth.value * 2 + 3)
    if "network" in truth.also:  # it dies without a word, so a silent client does not see it: ask
        return await network(scene, truth)
    return near(age, truth), f"silent: ended at {age} with {code}"


async def lifetime(scene, truth):
    age, code, sent = await talking(scene.url, 0.3, truth.value * 2 + 3)
    return near(age, truth), f"talking: ended at {age} with {code} after {sent}"


async def pong_timeout(scene, truth):
    if scene.name in DEAF:
        age = await asyncio.to_thread(deaf, scene.url, truth.value * 2 + 3)
        return near(age, truth), f"deaf: ended at {age}"
    age, code = await silent(scene.url, truth.value * 2 + 3)
    return near(age, truth), f"silent: ended at {age} with {code}"


async def message_limit(scene, truth):
    text = scene.options[scene.options.index("--send") + 1]
    age, code, sent = await talking(scene.url, scene.facts.get("every", 0.1), 20, text)
    if truth.counts == "server":
        return age is not None, f"{sent} sent, ended at {age} with {code}"
    return age is not None and truth.low <= sent <= (truth.high or truth.low) + 1, f"{sent} sent, ended at {age} with {code}"


async def size_limit(scene, truth):
    said = []
    for size, dies in ((int(truth.low), False), (int(truth.low) + 1, True)):
        async with connect(scene.url) as socket:
            await socket.send("x" * size)
            age, code = await ended(socket, 1)
        said.append((size, code))
        if (age is not None) != dies:
            return False, str(said)
    return True, str(said)


async def restart(scene, truth):
    """Two that begin apart end together, and the next two so much later."""
    instants = []

    async def one(delay):
        await asyncio.sleep(delay)
        while len(instants) < 4:
            try:
                async with connect(scene.url) as socket:
                    await ended(socket, truth.low * 3)
                    instants.append(time.monotonic())
            except (OSError, asyncio.TimeoutError, websockets.InvalidHandshake):
                await asyncio.sleep(0.1)
    await asyncio.wait_for(asyncio.gather(one(0), one(1.3)), truth.low * 4 + 8)
    first, second, third, fourth = sorted(instants)[:4]
    together = second - first < 0.4 and fourth - third < 0.4
    return together and abs(third - first - truth.low) < 0.5, f"ended at {[round(i - first, 2) for i in sorted(instants)]}"


async def blocked_server(scene, truth):
    if "--send" in scene.options and len(scene.options[scene.options.index("--send") + 1]) > 50000:
        text = scene.options[scene.options.index("--send") + 1]
        age, code, sent = await talking(scene.url, 0.03, truth.high * 2 + 10, text)
        silent_for = age and age - scene.facts.get("stop_at", 4) * 0.03
        return near(silent_for, scene.settled(), 1), f"ended at {age} with {code}, {sent} sent"
    longest, ended_after = await pinging(scene.url, 0.25, (truth.high or truth.low or 3) * 2 + 15)
    if truth.low is None:
        return ended_after is not None or longest > 3, f"{longest} s without a pong, the end after {ended_after}"
    return near(ended_after or longest, truth, 0.7), f"{longest} s without a pong, the end after {ended_after}"


async def network(scene, truth):
    try:
        return await answers(scene, truth)
    except websockets.ConnectionClosed as error:
        return True, f"it ended: {error}"


async def answers(scene, truth):
    """Once it was open, an answer does not come, or comes late, or a new connection does not."""
    worst = 0.0
    async with connect(scene.url) as socket:
        pong = None
        for pause in (0.3,) * 24 + ((truth.high or 0) + 0.5 if truth.low else 0.3,):
            begun = time.monotonic()
            pong = await socket.ping()
            try:
                await asyncio.wait_for(pong, 4)
            except asyncio.TimeoutError:
                return True, "a ping was not answered"
            worst = max(worst, time.monotonic() - begun)
            await asyncio.sleep(pause)
        if truth.low:
            try:
                await asyncio.wait_for(await socket.ping(), 4)
            except asyncio.TimeoutError:
                return True, "a ping after the silence was not answered"
    return worst > 0.15, f"the slowest answer took {worst} s"


async def handshake(scene, _truth):
    try:
        async with connect(scene.url):
            return False, "it opened"
    except (websockets.InvalidHandshake, websockets.InvalidURI, OSError, asyncio.TimeoutError) as error:
        return True, str(error)


async def none(scene, _truth):
    age, code = await silent(scene.url, 7)
    return age is None, f"ended at {age} with {code}"


def check(scene):
    """(as it should be, what was seen) of a scene that was set up."""
    truth = scene.settled()
    look = {f.__name__: f for f in (idle_timer, lifetime, pong_timeout, message_limit, size_limit, restart, blocked_server, network,
                                    handshake, none)}[truth.name]
    return asyncio.run(look(scene, truth))
