#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The conforming echo behind the gateway, on python3-websockets: every message goes back, as text or binary as it came.

argv: two ports. At the first, permessage-deflate is done as the client offers it; at the second the server takes no context
over and uses windows of 9 bits whether it is asked to or not."""
import asyncio
import sys

import websockets
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


async def echo(socket):
    try:
        async for message in socket:
            await socket.send(message)
    except websockets.ConnectionClosed:
        pass


def serve(port, deflate):
    return websockets.serve(echo, "127.0.0.1", int(port), compression=None, extensions=[deflate], ping_interval=None,
                            max_size=1 << 26, subprotocols=["v2.echo", "v1.echo"])


async def main(easy, tight):
    async with serve(easy, ServerPerMessageDeflateFactory()), serve(tight, ServerPerMessageDeflateFactory(
            server_no_context_takeover=True, client_no_context_takeover=True, server_max_window_bits=9, client_max_window_bits=9)):
        await asyncio.Future()


asyncio.run(main(*sys.argv[1:]))
