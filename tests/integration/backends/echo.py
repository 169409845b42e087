# SPDX-License-Identifier: Apache-2.0
"""An echo on python3-websockets, with permessage-deflate and the subprotocols v1.echo and v2.echo.

argv: port or Unix path. "close CODE REASON" closes so; "headers" answers the request's head; "chunks N" streams N messages."""
import asyncio
import json
import sys

import websockets


async def serve(socket):
    try:
        async for message in socket:
            if isinstance(message, str) and message.startswith("close"):
                words = message.split(" ", 2)
                await socket.close(*([int(words[1])] if len(words) > 1 else []),
                                   **({"reason": words[2]} if len(words) > 2 else {}))
            elif message == "headers":
                await socket.send(json.dumps({"path": socket.path, "headers": list(socket.request_headers.raw_items())}))
            elif isinstance(message, str) and message.startswith("chunks "):
                for i in range(int(message.split()[1])):
                    await socket.send(f"chunk {i}")
            else:
                await socket.send(message)
    except websockets.ConnectionClosed:
        pass


async def main(where):
    how = dict(subprotocols=["v2.echo", "v1.echo"], compression="deflate", ping_interval=None, max_size=1 << 26)
    server = (websockets.unix_serve(serve, where, **how) if where.startswith("/")
              else websockets.serve(serve, "127.0.0.1", int(where), **how))
    async with server:
        await asyncio.Future()


asyncio.run(main(sys.argv[1]))
