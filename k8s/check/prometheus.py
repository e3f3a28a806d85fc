"""A private Prometheus, with the rules of the fleet in a shorter time."""

import json
import re
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import yaml

from render import ROOT

RULES = ROOT / "deploy" / "prometheus" / "rules.yaml"
# Windows of the rules become this many times shorter: an hour is a minute. Waits (`for`) become shorter still.
SHORTER = 60
WAITS_SHORTER = 240
# `rate` needs two samples, and a process that waits for a store answers after 2 s.
READS_EVERY = "3s"
SHORTEST_WINDOW_S, SHORTEST_WAIT_S = 10, 4
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Numbers in expressions that are times, and have to become shorter too. Each must be in the rules.
TIMES = {
    "leasehold:queue_starts:rate1h * 3600": "leasehold:queue_starts:rate1h * 60",
    "leasehold:queue_starts:rate6h * 21600": "leasehold:queue_starts:rate6h * 360",
    "leasehold:queue_starts:rate3d * 259200": "leasehold:queue_starts:rate3d * 4320",
    # Gauges of the last minute: their average, times the minutes of the window, is a number of jobs.
    "(leasehold_dead_last_minute[15m])) * 15 >= 5": "(leasehold_dead_last_minute[15m])) * 0.25 >= 5",
    "(leasehold_dead_last_minute[10m])) * 10 >= 20": "(leasehold_dead_last_minute[10m])) * 0.17 >= 20",
    "(leasehold_oldest_waiting_seconds) > 900": "(leasehold_oldest_waiting_seconds) > 15",
    "(leasehold_schedule_overdue_seconds) > 60": "(leasehold_schedule_overdue_seconds) > 5",
}


def shorter(duration, times, shortest_s):
    number, unit = re.fullmatch(r"(\d+)([smhd])", duration).groups()
    return f"{max(shortest_s, int(number) * UNITS_S[unit] // times)}s"


def shorter_rules(text):
    """The rules with shorter windows and waits. A number in TIMES that is not in the rules is an error."""
    rules = yaml.safe_load(text)
    left = set(TIMES)
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        for number, short in TIMES.items():
            if number in rule["expr"]:
                left.discard(number)
                rule["expr"] = rule["expr"].replace(number, short)
        rule["expr"] = re.sub(r"\[(\d+[smhd])\]", lambda window: f"[{shorter(window[1], SHORTER, SHORTEST_WINDOW_S)}]", rule["expr"])
        if "for" in rule:
            rule["for"] = shorter(rule["for"], WAITS_SHORTER, SHORTEST_WAIT_S)
    assert not left, f"TIMES names what is not in the rules: {left}"
    return yaml.safe_dump(rules, sort_keys=False)


class Prometheus:
    """Reads the processes of fleets, each with the label `namespace` of its fleet."""

    def __init__(self, lab, folder):
        self.lab, self.folder, self.port = lab, folder / "prometheus", lab.free_port()
        self.folder.mkdir()
        self.targets, self.lock = [], threading.Lock()
        (self.folder / "rules.yaml").write_text(shorter_rules(RULES.read_text()))
        scrape = {
            "job_name": "leasehold", "scrape_interval": READS_EVERY, "scrape_timeout": READS_EVERY,
            "file_sd_configs": [{"files": [str(self.folder / "targets.json")], "refresh_interval": "1s"}],
        }
        self.listed()
        (self.folder / "prometheus.yaml").write_text(yaml.safe_dump({
            "global": {"evaluation_interval": "1s"}, "rule_files": ["rules.yaml"], "scrape_configs": [scrape],
        }))

    def __enter__(self):
        self.process = self.lab.start([
            shutil.which("prometheus"), f"--config.file={self.folder}/prometheus.yaml",
            f"--storage.tsdb.path={self.folder}/data", f"--web.listen-address=127.0.0.1:{self.port}",
            "--log.level=warn", "--storage.tsdb.retention.time=2h", "--query.lookback-delta=8s",
        ], {}, "prometheus.log")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def listed(self):
        of = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": fleet, "pod": pod}} for fleet, pod, port in self.targets
        ]
        # Prometheus must not read half of the file.
        part = self.folder / "targets.part"
        part.write_text(json.dumps(of))
        part.rename(self.folder / "targets.json")

    def watch(self, fleet, pod, port):
        with self.lock:
            self.targets.append((fleet, pod, port))
            self.listed()

    def is_ready(self):
        return self.process.poll() is not None or self.ask("/-/ready") is not None

    def ask(self, path, **parameters):
        try:
            query = urllib.parse.urlencode(parameters)
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}?{query}", timeout=10) as answer:
                text = answer.read().decode()
                return json.loads(text) if text.startswith("{") else text
        except urllib.error.HTTPError as error:
            return json.loads(error.read()) if error.code in (400, 422) else None
        except OSError:
            return None

    def query(self, expression):
        """The result of an expression: pairs of labels and value. An expression that Prometheus refuses is an error."""
        answer = self.ask("/api/v1/query", query=expression)
        assert answer and answer["status"] == "success", f"{expression}: {answer and answer.get('error')}"
        return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]

    def alerts(self, state):
        """Alerts that are in a state now: pairs of name and namespace."""
        answer = self.ask("/api/v1/alerts")
        found = [one for one in answer["data"]["alerts"] if one["state"] == state] if answer else []
        return {(one["labels"]["alertname"], one["labels"].get("namespace", "")) for one in found}

    def firing(self):
        return self.alerts("firing")

    def pending(self):
        return self.alerts("pending")


def promtool(*arguments):
    """Yields what promtool says if it refuses its input."""
    done = subprocess.run([shutil.which("promtool"), *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode != 0:
        yield f"promtool {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}"


