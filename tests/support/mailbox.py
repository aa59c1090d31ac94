"""A mail server of its own for tests: takes mail over SMTP on loopback, and prints each message as a line of JSON.

``python mailbox.py [USER PASSWORD]`` prints its port first. A recipient called ``nobody@`` is refused.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    login = sys.argv[1:]

    async def answer(line: str) -> None:
        writer.write(f"{line}\r\n".encode())
        await writer.drain()

    await answer("220 mailbox")
    receivers: list[str] = []
    known = not login
    while line := (await reader.readline()).decode().strip():
        verb = line.split(" ")[0].upper()
        if verb == "EHLO":
            await answer("250-mailbox\r\n250 AUTH PLAIN")
        elif verb == "AUTH":
            given = base64.b64decode(line.split(" ")[2]).decode().split("\0")[1:]
            known = given == login
            await answer("235 welcome" if known else "535 wrong password")
        elif verb == "QUIT":
            await answer("221 bye")
            break
        elif not known:
            await answer("530 log in first")
        elif verb == "RCPT":
            refused = "nobody@" in line
            receivers.append(line)
            await answer("550 no such person" if refused else "250 ok")
        elif verb == "DATA":
            await answer("354 go on")
            text = (await reader.readuntil(b"\r\n.\r\n")).decode()
            print(json.dumps({"to": receivers, "text": text}), flush=True)
            receivers = []
            await answer("250 taken")
        else:
            await answer("250 ok")
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
