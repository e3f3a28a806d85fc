"""A fault for bots: a network that cuts them off from the server. (Kills and freezes are signals: see measure.py.)"""

from __future__ import annotations

import select
import socket
import threading


class Network:
    """A proxy to the server. It can drop all data on the current connections and keep them open."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._links: list[Link] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> int:
        """Cuts off the bots that are connected now, without closing their connections. Returns the number of
        connections.
        """
        links = [link for link in self._links if link.is_open]
        for link in links:
            link.is_open = False
        return len(links)

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            try:
                link = Link(near, socket.create_connection(("127.0.0.1", self._to), 5))
            except OSError:
                near.close()
                continue
            self._links.append(link)
            threading.Thread(target=link.forward, daemon=True).start()


class Link:
    """A connection of a bot, and the connection to the server."""

    def __init__(self, near: socket.socket, far: socket.socket) -> None:
        self._near, self._far = near, far
        self.is_open = True

    def forward(self) -> None:
        """Forwards data until one end closes. A link that was cut off stays open."""
        # Not `select`, which knows only 1,024 descriptors.
        poll = select.poll()
        ends = {end.fileno(): end for end in (self._near, self._far)}
        for fd in ends:
            poll.register(fd, select.POLLIN)
        try:
            while self.is_open:
                for fd, _ in poll.poll(50):
                    end = ends[fd]
                    data = end.recv(65536)
                    if not data:
                        self._close()
                    elif self.is_open:
                        (self._far if end is self._near else self._near).sendall(data)
        except (OSError, ValueError):
            self._close()

    def _close(self) -> None:
        self.is_open = False
        self._near.close()
        self._far.close()
