"""The transport of the sync client: a pool of connections, each used by one thread at a time.

A child process after a `fork` must not use the connections of its parent: both would read the answers of the other.
So the child drops these connections, and opens new ones.
"""

from __future__ import annotations

import http.client
import os
import select
import socket
import ssl
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Final

from . import errors
from ._http import ANSWER_MAX_BYTES, IDLE_MAX_S, Answer, Place, Request

_IDLE_MAX: Final = 16
_CHUNK: Final = 64 * 1024


@dataclass
class _Idle:
    connection: http.client.HTTPConnection
    since: float


class Abort:
    """Lets another thread end a request that waits: the request fails with `ConnectionFailed`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._is_wanted = False

    def now(self) -> None:
        """Ends the request, and every later one."""
        with self._lock:
            self._is_wanted = True
            if self._socket is not None:
                _shut(self._socket)

    def _begin(self, used: socket.socket | None) -> None:
        with self._lock:
            self._socket = used
            if self._is_wanted and used is not None:
                _shut(used)

    def _end(self) -> None:
        with self._lock:
            self._socket = None


class SocketTransport:
    """Sends requests over HTTP/1.1, on connections that are kept."""

    def __init__(self, place: Place, *, connect_timeout_s: float = 5.0, tls: ssl.SSLContext | None = None) -> None:
        self.place = place
        self._connect_timeout_s = connect_timeout_s
        self._tls = tls
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []
        _ALL.add(self)

    def send(self, request: Request, abort: Abort | None = None) -> Answer:
        """Sends a request, and reads its answer to the end."""
        deadline = time.monotonic() + request.timeout_s
        connection = self._idle_connection() or self._connect(deadline)
        is_reusable = False
        try:
            if abort is not None:
                abort._begin(connection.sock)  # pyright: ignore[reportPrivateUsage]
            connection.sock.settimeout(request.timeout_s)
            path = self.place.prefix + request.path
            connection.putrequest(request.method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.place.headers(request).items():
                connection.putheader(name, value)
            connection.endheaders(request.body)
            answer = connection.getresponse()
            body = _read(answer, connection, deadline)
            answer.close()
            is_reusable = not answer.will_close
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, body)
        except TimeoutError as error:
            text = f"no answer of {self.place.authority} within {request.timeout_s:g} s"
            raise errors.ConnectionFailed(text, was_sent=True) from error
        except (OSError, http.client.HTTPException) as error:
            text = f"the connection to {self.place.authority} broke: {error or type(error).__name__}"
            raise errors.ConnectionFailed(text, was_sent=True) from error
        finally:
            if abort is not None:
                abort._end()  # pyright: ignore[reportPrivateUsage]
            self._give_back(connection, is_reusable)

    def close(self) -> None:
        """Closes the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for one in idle:
            one.connection.close()

    def _connect(self, deadline: float) -> http.client.HTTPConnection:
        timeout = max(0.001, min(self._connect_timeout_s, deadline - time.monotonic()))
        place = self.place
        connection: http.client.HTTPConnection
        if place.scheme == "https":
            context = self._tls or ssl.create_default_context()
            connection = http.client.HTTPSConnection(place.host, place.port, timeout=timeout, context=context)
        else:
            connection = http.client.HTTPConnection(place.host, place.port, timeout=timeout)
        try:
            connection.connect()
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            connection.close()
            text = f"cannot connect to {place.authority}: {error or type(error).__name__}"
            raise errors.ConnectionFailed(text, was_sent=False) from error
        return connection

    def _idle_connection(self) -> http.client.HTTPConnection | None:
        while True:
            with self._lock:
                idle = self._idle.pop() if self._idle else None
            if idle is None:
                return None
            if time.monotonic() - idle.since < IDLE_MAX_S and not _is_closed(idle.connection.sock):
                return idle.connection
            idle.connection.close()

    def _give_back(self, connection: http.client.HTTPConnection, is_reusable: bool) -> None:
        if is_reusable and connection.sock is not None:
            with self._lock:
                if len(self._idle) < _IDLE_MAX:
                    self._idle.append(_Idle(connection, time.monotonic()))
                    return
        connection.close()

    def _forget(self) -> None:
        """In a child process: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        # The sockets are closed when they are collected. The parent has its own handles, so its connections stay.
        self._idle = []


def _read(answer: http.client.HTTPResponse, connection: http.client.HTTPConnection, deadline: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if connection.sock is not None:
            connection.sock.settimeout(left)
        part = answer.read1(_CHUNK)
        if not part:
            # `read1` does not say whether the answer is whole.
            if answer.length:
                raise http.client.IncompleteRead(b"".join(parts), answer.length)
            return b"".join(parts)
        parts.append(part)
        size += len(part)
        if size > ANSWER_MAX_BYTES:
            raise http.client.HTTPException(f"the answer has more than {ANSWER_MAX_BYTES} bytes")


def _is_closed(used: socket.socket | None) -> bool:
    """Whether the server has closed an idle connection. If the server has sent bytes without a request, the
    connection also counts as closed.
    """
    if used is None or used.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(used, select.POLLIN | select.POLLHUP | select.POLLERR)
    return bool(poll.poll(0))


def _shut(used: socket.socket) -> None:
    try:
        used.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


_ALL: weakref.WeakSet[SocketTransport] = weakref.WeakSet()


def _in_child() -> None:
    for transport in list(_ALL):
        transport._forget()  # pyright: ignore[reportPrivateUsage]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
