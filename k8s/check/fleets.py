"""Small fleets for faults: each has its own database, prefix in Redis and processes, and links that can be cut."""

import socket
import subprocess
import threading
import time
import urllib.parse

from live import PATIENCE_S, eventually, fetch, stop


class Link:
    """Forwards connections to a server. A shut link refuses them, and a stalled one forwards nothing."""

    def __init__(self, port):
        self.server_port, self.mode, self.open = port, "open", []
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                if self.mode == "shut":
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self.server_port))
                except OSError:
                    client.close()
                    continue
                self.open += [client, server]
            for of, to in (client, server), (server, client):
                threading.Thread(target=self.forward, args=(of, to), daemon=True).start()

    def forward(self, of, to):
        try:
            while data := of.recv(65536):
                if self.mode == "stalled":
                    return
                to.sendall(data)
        except OSError:
            pass
        finally:
            if self.mode != "stalled":
                to.close()

    def set(self, mode):
        with self.lock:
            self.mode = mode
            if mode == "shut":
                for one in self.open:
                    one.close()
                self.open = []

    def close(self):
        self.set("shut")
        self.listener.close()


class Fleet:
    """The processes of one fleet. Prometheus knows the fleet by its name, in the label `namespace`."""

    def __init__(self, lab, prometheus, name, alerts=(), redis=None, **settings):
        self.lab, self.prometheus, self.name, self.alerts = lab, prometheus, name, alerts
        lab.sql(f'CREATE DATABASE "{name}" TEMPLATE observed')
        self.stores = {
            "LEASEHOLD_DATABASE_URL": f"{lab.postgres}/{name}",
            "LEASEHOLD_REDIS_URL": redis or lab.redis,
            "LEASEHOLD_REDIS__KEY_PREFIX": name,
            "LEASEHOLD_DATABASE__MAX_CONNECTIONS": "3",
            "LEASEHOLD_WORKER__GRACE_MS": "0",
            "LEASEHOLD_WORKER__KILL_AFTER_MS": "100",
        } | settings
        self.processes, self.links = {}, []

    def linked(self, *variables):
        """The same stores through separate links: the variables, and the links."""
        through, links = {}, []
        for variable in variables:
            url = urllib.parse.urlsplit(self.stores[variable])
            link = Link(url.port)
            place = f"{url.netloc.rpartition('@')[0]}@127.0.0.1:{link.port}".removeprefix("@")
            through[variable] = url._replace(netloc=place).geturl()
            links.append(link)
        self.links += links
        return through, links

    def start(self, pod, *command, **own):
        """Starts a process that Prometheus reads, and waits until it answers."""
        port, variable = self.lab.free_port(), f"LEASEHOLD_{command[0].upper()}__LISTEN"
        variables = self.stores | own | {variable: f"127.0.0.1:{port}"}
        log = f"{self.name}-{pod}.log"
        process = self.lab.start([self.lab.program, *command], variables, log)
        self.processes[pod] = process
        answers = lambda: process.poll() is not None or fetch(port, "/healthz")[0] == 200
        eventually(f"{self.name}: {pod} answers", answers)
        assert process.poll() is None, (self.lab.folder / log).read_text()
        self.prometheus.watch(self.name, pod, port)
        return process, port

    def seen(self):
        """Waits until Prometheus has read all processes twice. An increase before that would not be seen."""
        wanted = f'count(count_over_time(leasehold_store_up{{namespace="{self.name}",store="postgres"}}[10s]) > 1)'
        eventually(f"{self.name}: is seen", lambda: [v for _, v in self.prometheus.query(wanted)] == [len(self.processes)])

    def until_fired(self, step):
        """Repeats a fault until its alerts have fired: a single increase can be lost while a busy machine reads no metrics."""
        end, left = time.monotonic() + PATIENCE_S, set(self.alerts)
        while left and time.monotonic() < end:
            step()
            until = time.monotonic() + 8
            while left and time.monotonic() < until:
                left -= {alert for alert, fleet in self.prometheus.firing() if fleet == self.name}
                time.sleep(0.2)

    def enqueue(self, kind, count, **words):
        """Enqueues jobs in one call of SQL."""
        words = "".join(f", {word} => {value}" for word, value in words.items())
        self.sql(f"SELECT count(leasehold.enqueue('{kind}', '1'{words})) FROM generate_series(1, {count})")

    def sql(self, statement):
        self.lab.sql_in(self.name, statement)

    def number(self, query):
        return int(self.lab.sql_in(self.name, query))

    def redis(self, *command):
        """Asks Redis, and returns what `redis-cli` prints."""
        url = self.stores["LEASEHOLD_REDIS_URL"]
        return self.lab.execute(["redis-cli", "--no-auth-warning", "-u", url, *command]).strip()

    def run(self, *command):
        return self.lab.run(*command, **self.stores)

    def close(self):
        """Ends all processes, also frozen ones."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
        for process in self.processes.values():
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                stop(process, 0)
        for link in self.links:
            link.close()
