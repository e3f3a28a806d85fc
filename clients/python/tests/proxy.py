"""A proxy between clients and the server that loses answers, and stops forwarding without closing anything."""

from __future__ import annotations

import select
import socket
import threading


class Proxy:
    """Forwards connections to a port of the loopback address."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._lock = threading.Lock()
        self._pairs: list[Pair] = []
        self._answers_to_lose = 0
        self.lost = 0
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def lose_answers(self, count: int) -> None:
        """Cuts the next connections on which the server answers, before the client gets a byte of the answer."""
        with self._lock:
            self._answers_to_lose = count

    def freeze(self) -> int:
        """Forwards nothing more on the connections of now, and keeps them open. Later connections work. Returns their number."""
        with self._lock:
            pairs = [pair for pair in self._pairs if not pair.is_frozen]
            for pair in pairs:
                pair.is_frozen = True
            return len(pairs)

    def close(self) -> None:
        self._listener.close()
        for pair in self._pairs:
            pair.close()

    def wants_to_lose(self) -> bool:
        with self._lock:
            if self._answers_to_lose == 0:
                return False
            self._answers_to_lose -= 1
            self.lost += 1
            return True

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                pair = Pair(self, near, socket.create_connection(("127.0.0.1", self._to), 5))
            except OSError:
                near.close()
                continue
            with self._lock:
                self._pairs.append(pair)
            threading.Thread(target=pair.forward, daemon=True).start()


class Pair:
    """A connection of a client, and the connection to the server."""

    def __init__(self, proxy: Proxy, near: socket.socket, far: socket.socket) -> None:
        self._proxy, self._near, self._far = proxy, near, far
        self.is_frozen = False

    def close(self) -> None:
        for end in (self._near, self._far):
            end.close()

    def forward(self) -> None:
        try:
            while True:
                for end in select.select([self._near, self._far], [], [], 0.05)[0]:
                    if self.is_frozen:
                        return
                    data = end.recv(65536)
                    is_answer = end is self._far
                    if not data or (is_answer and self._proxy.wants_to_lose()):
                        self.close()
                        return
                    (self._near if is_answer else self._far).sendall(data)
                if self.is_frozen:
                    return
        except (OSError, ValueError):
            self.close()
