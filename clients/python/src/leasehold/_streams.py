"""The transport of the async client: HTTP/1.1 on the streams of asyncio. A request that is cancelled closes its connection."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
import weakref
from typing import Final

from . import errors
from ._http import ANSWER_MAX_BYTES, IDLE_MAX_S, Answer, Place, Request

_IDLE_MAX: Final = 64
_HEAD_MAX_BYTES: Final = 64 * 1024
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Broken(Exception):
    """The server sent bytes that are not an HTTP answer."""


class StreamTransport:
    """Sends requests on connections that are kept, one request at a time on each."""

    def __init__(self, place: Place, *, connect_timeout_s: float = 5.0, tls: ssl.SSLContext | None = None) -> None:
        self.place = place
        self._connect_timeout_s = connect_timeout_s
        self._tls = tls
        self._idle: list[tuple[_Connection, float]] = []
        self._pid = os.getpid()
        self._loop: weakref.ref[asyncio.AbstractEventLoop] | None = None

    async def send(self, request: Request) -> Answer:
        """Sends a request, and reads its answer to the end."""
        try:
            return await asyncio.wait_for(self._send(request), request.timeout_s)
        except (asyncio.TimeoutError, TimeoutError) as error:
            text = f"no answer of {self.place.authority} within {request.timeout_s:g} s"
            raise errors.ConnectionFailed(text, was_sent=True) from error

    async def close(self) -> None:
        """Closes the idle connections."""
        idle, self._idle = self._idle, []
        for (_, writer), _ in idle:
            writer.close()

    async def _send(self, request: Request) -> Answer:
        connection = self._idle_connection() or await self._connect()
        is_reusable = False
        try:
            answer, is_reusable = await self._exchange(connection, request)
            return answer
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, _Broken) as error:
            text = f"the connection to {self.place.authority} broke: {error or type(error).__name__}"
            raise errors.ConnectionFailed(text, was_sent=True) from error
        finally:
            if is_reusable and len(self._idle) < _IDLE_MAX:
                self._idle.append((connection, time.monotonic()))
            else:
                connection[1].close()

    async def _connect(self) -> _Connection:
        place = self.place
        tls = (self._tls or ssl.create_default_context()) if place.scheme == "https" else None
        try:
            opening = asyncio.open_connection(place.host, place.port, ssl=tls, limit=_HEAD_MAX_BYTES)
            return await asyncio.wait_for(opening, self._connect_timeout_s)
        except (OSError, asyncio.TimeoutError) as error:
            text = f"cannot connect to {place.authority}: {error or type(error).__name__}"
            raise errors.ConnectionFailed(text, was_sent=False) from error

    def _idle_connection(self) -> _Connection | None:
        # Connections belong to a loop and to a process.
        loop = asyncio.get_running_loop()
        if self._pid != os.getpid() or self._loop is None or self._loop() is not loop:
            self._pid, self._loop, self._idle = os.getpid(), weakref.ref(loop), []
        while self._idle:
            (reader, writer), since = self._idle.pop()
            if time.monotonic() - since < IDLE_MAX_S and not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return None

    async def _exchange(self, connection: _Connection, request: Request) -> tuple[Answer, bool]:
        reader, writer = connection
        head = [f"{request.method} {self.place.prefix}{request.path} HTTP/1.1"]
        for name, value in self.place.headers(request).items():
            if "\r" in value or "\n" in value:
                raise errors.ConfigError(f"the header {name} has a line break")
            head.append(f"{name}: {value}")
        writer.write("\r\n".join([*head, "", ""]).encode("latin-1") + (request.body or b""))
        await writer.drain()
        status, headers = await self._head(reader)
        body = await _body(reader, headers)
        is_reusable = headers.get("connection", "").lower() != "close" and (
            "content-length" in headers or "transfer-encoding" in headers
        )
        return Answer(status, headers, body), is_reusable

    async def _head(self, reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
        while True:
            text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = text.split("\r\n")
            words = first.split(" ", 2)
            if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
                raise _Broken("the answer is not HTTP")
            status = int(words[1])
            # 1xx comes before the answer.
            if status < 200:
                continue
            split = (line.partition(":") for line in lines if line)
            return status, {name.strip().lower(): value.strip() for name, _, value in split}


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader)
    length = headers.get("content-length")
    if length is None:
        body = await reader.read(ANSWER_MAX_BYTES + 1)
        while part := await reader.read(ANSWER_MAX_BYTES + 1 - len(body)):
            body += part
    elif length.isdigit() and int(length) <= ANSWER_MAX_BYTES:
        body = await reader.readexactly(int(length))
    else:
        raise _Broken(f"the answer has the length {length}")
    if len(body) > ANSWER_MAX_BYTES:
        raise _Broken(f"the answer has more than {ANSWER_MAX_BYTES} bytes")
    return body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts: list[bytes] = []
    left = ANSWER_MAX_BYTES
    while True:
        line = (await reader.readuntil(b"\r\n")).split(b";")[0].strip()
        try:
            size = int(line, 16)
        except ValueError as error:
            raise _Broken("a chunk without a size") from error
        left -= size
        if size < 0 or left < 0:
            raise _Broken(f"the answer has more than {ANSWER_MAX_BYTES} bytes")
        if size == 0:
            while (await reader.readuntil(b"\r\n")) != b"\r\n":
                pass
            return b"".join(parts)
        parts.append(await reader.readexactly(size))
        await reader.readexactly(2)
