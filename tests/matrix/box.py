# SPDX-License-Identifier: Apache-2.0
"""A small middlebox of the matrix's own, so that `holdfast chaos` is not judged by itself alone. One argument, JSON:

  listen, target  ports on 127.0.0.1
  pongs           keep, drop (the client's pongs vanish), empty (they arrive without their payload)
  drop            share of the connections that are cut after a random time; mean: of that time, seconds
  jitter          every piece of data waits a random time up to this many seconds, in each direction
  seed"""
import asyncio
import contextlib
import json
import random
import socket
import struct
import sys

HOW = json.loads(sys.argv[1])
RANDOM = random.Random(HOW.get("seed", 0))
PIECE = 65536


async def wait():
    if HOW.get("jitter"):
        await asyncio.sleep(RANDOM.uniform(0, HOW["jitter"]))


async def bytes_on(reader, writer):
    while data := await reader.read(PIECE):
        await wait()
        writer.write(data)
        await writer.drain()


async def frames_on(reader, writer):
    """The client's side: its head as it is, then frame by frame, so that its pongs can be told."""
    writer.write(await reader.readuntil(b"\r\n\r\n"))
    while True:
        head = await reader.readexactly(2)
        length = head[1] & 0x7F
        if length >= 126:
            more = await reader.readexactly(2 if length == 126 else 8)
            length = int.from_bytes(more, "big")
            head += more
        if head[1] & 0x80:
            head += await reader.readexactly(4)
        pong = head[0] & 0x0F == 10
        await wait()
        if pong and HOW["pongs"] == "empty":
            writer.write(bytes([0x8A, 0x80]) + head[-4:])
        elif not pong:
            writer.write(head)
        while length > 0:
            data = await reader.read(min(length, PIECE))
            if not data:
                return
            length -= len(data)
            if not pong:
                writer.write(data)
                await writer.drain()


async def one_way(pump, reader, writer):
    """Passes one direction on, and its end: FIN as FIN, a reset as a reset."""
    try:
        await pump(reader, writer)
        if writer.can_write_eof():
            writer.write_eof()
    except asyncio.IncompleteReadError:
        with contextlib.suppress(OSError):
            writer.write_eof()
    except (ConnectionError, OSError):
        writer.transport.abort()


async def serve(reader, writer):
    try:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", HOW["target"])
    except OSError:
        writer.transport.abort()
        return
    up = bytes_on if HOW.get("pongs", "keep") == "keep" else frames_on
    both = [asyncio.ensure_future(one_way(up, reader, there_writer)),
            asyncio.ensure_future(one_way(bytes_on, there_reader, writer))]
    limit = RANDOM.expovariate(1 / HOW.get("mean", 6)) if RANDOM.random() < HOW.get("drop", 0) else None
    # A proxy keeps no half of a WebSocket: when one direction has ended the other has a moment for what is under way.
    await asyncio.wait(both, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
    if any(task.done() for task in both):
        await asyncio.wait(both, timeout=0.5)
    elif RANDOM.random() < 0.5:
        for end in (writer, there_writer):
            with contextlib.suppress(OSError):
                end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for task in both:
        task.cancel()
    for end in (writer, there_writer):
        end.close()


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", HOW["listen"], limit=1 << 17)
    async with server:
        await server.serve_forever()


asyncio.run(main())
