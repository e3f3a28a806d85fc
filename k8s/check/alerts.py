"""Checks of the alerts and their runbooks that need no fleet."""

import json
import re

import yaml

import faults
import render
from live import METRIC
from prometheus import RULES, promtool
from render import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
PARTS = ["# {}", "Severity: {}.", "## Meaning", "## First look", "## Action", "## End"]
# Copies of the rules: in PrometheusRules of the overlays, and in the chart, which cannot read files outside of itself.
COMPONENT = ROOT / "k8s" / "components" / "prometheus-rule" / "prometheus-rule.yaml"
IN_CHART = render.CHART / "files" / "rules.yaml"
# Variables that a command of a worker gets. They are no settings.
OF_COMMANDS = {"LEASEHOLD_RUN"}
HEAD = """\
# A copy of the rules in deploy/prometheus/rules.yaml, which `make k8s-golden` writes.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: leasehold
  labels:
    app.kubernetes.io/name: leasehold
    app.kubernetes.io/part-of: leasehold
spec:
"""


def alerts():
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}


def copies(write=False):
    """Yields a line for each copy of the rules that differs. With `write`, makes the copies equal instead."""
    text = RULES.read_text()
    body = text[text.index("groups:\n"):]
    indented = "".join(f"  {line}" if line.strip() else line for line in body.splitlines(keepends=True))
    in_chart = "# A copy of deploy/prometheus/rules.yaml, which `make k8s-golden` writes.\n" + body
    for path, wanted in (COMPONENT, HEAD + indented), (IN_CHART, in_chart):
        if write:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted)
        elif not path.exists() or path.read_text() != wanted:
            yield f"{path.relative_to(ROOT)}: is no copy of {RULES.relative_to(ROOT)} (make k8s-golden makes one)"


def pages():
    """Each alert has a page with all parts, and a line in the index. There are no other pages."""
    index, named = (RUNBOOKS / "README.md").read_text(), alerts()
    for path in RUNBOOKS.glob("*.md"):
        if path.stem != "README" and path.stem not in named:
            yield f"{path.relative_to(ROOT)}: there is no such alert"
    for alert, rule in named.items():
        path, severity = RUNBOOKS / f"{alert}.md", rule["labels"]["severity"]
        if rule["annotations"]["runbook_url"] != str(path.relative_to(ROOT)):
            yield f"{alert}: its runbook_url is not {path.relative_to(ROOT)}"
        if severity not in ("page", "ticket"):
            yield f"{alert}: the severity {severity} is neither page nor ticket"
        if f"| [{alert}]({alert}.md) | {severity} |" not in index:
            yield f"docs/runbooks/README.md: does not list {alert} with its severity"
        if not path.exists():
            yield f"{alert}: there is no {path.relative_to(ROOT)}"
            continue
        text, wanted = path.read_text(), [part.format({0: alert, 1: severity}.get(nth)) for nth, part in enumerate(PARTS)]
        places = [text.find(f"{part}\n") for part in wanted]
        if -1 in places or places != sorted(places):
            yield f"{path.relative_to(ROOT)}: does not have these parts in this order: {wanted}"
        if "```sh\n" not in text:
            yield f"{path.relative_to(ROOT)}: the first look has no command"


def links():
    """The targets of the links between the pages exist."""
    for path in RUNBOOKS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
            if not target.startswith("http") and not (path.parent / target).exists():
                yield f"{path.relative_to(ROOT)}: {target} does not exist"


def cases():
    """Each alert fires in a case for promtool, and is silent in another one or at another time; and a real fault makes it fire."""
    tests = yaml.safe_load((RULES.parent / "tests.yaml").read_text())["tests"]
    checks = [check for test in tests for check in test["alert_rule_test"]]
    fires = {check["alertname"] for check in checks if check["exp_alerts"]}
    silent = {check["alertname"] for check in checks if not check["exp_alerts"]}
    for alert in alerts():
        if alert not in fires:
            yield f"{alert}: fires in no case of deploy/prometheus/tests.yaml"
        if alert not in silent:
            yield f"{alert}: is silent in no case of deploy/prometheus/tests.yaml"
        if alert not in faults.EXPECTED and alert != faults.ABSENT:
            yield f"{alert}: no fault in k8s/check/faults.py makes it fire"
    yield from (f"{alert}: a fault expects it, and it is no alert" for alert in faults.EXPECTED.keys() - alerts().keys())


def commands(lab):
    """The commands of the runbooks exist, with their flags. Yields a line for each command or flag that does not."""
    helps = {}

    def help_of(words):
        if words not in helps:
            try:
                helps[words] = lab.run(*words, "--help")
            except AssertionError:
                helps[words] = None
        return helps[words]

    for path in sorted(RUNBOOKS.glob("*.md")):
        text = path.read_text()
        lines = [line for block in re.findall(r"```sh\n(.*?)```", text, re.S) for line in block.splitlines()]
        lines += re.findall(r"`(leasehold [^`]+)`", text)
        for line in lines:
            # Also what runs in a pod.
            line = line.partition("-- leasehold ")[2] or (line.removeprefix("leasehold ") if line.startswith("leasehold ") else "")
            if not line:
                continue
            words = tuple(re.match(r"(?:[a-z]+ ?)+", line)[0].split())
            known = help_of(words)
            while known is None and words:
                words, known = words[:-1], help_of(words[:-1])
            asked = set(re.findall(r"--[a-z-]+", line))
            if not words or known is None:
                yield f"{path.relative_to(ROOT)}: there is no command `leasehold {line}`"
            elif missing := sorted(flag for flag in asked if not re.search(rf"{flag}\b", known)):
                yield f"{path.relative_to(ROOT)}: `leasehold {' '.join(words)}` has no {', '.join(missing)}"


def settings(lab):
    """Settings and variables that runbooks, rules and dashboards name exist."""
    known = json.loads(lab.run("config", "--json"))
    keys, variables = {one["key"] for one in known}, {one["variable"] for one in known} | OF_COMMANDS
    sections = "|".join(sorted({key.partition(".")[0] for key in keys}))
    for path in named_in():
        text = path.read_text()
        for key in re.findall(rf"`((?:{sections})\.[a-z_]+)`", text):
            if key not in keys:
                yield f"{path.relative_to(ROOT)}: there is no setting {key}"
        for variable in re.findall(r"\bLEASEHOLD_[A-Z_]+\b", text):
            if variable not in variables:
                yield f"{path.relative_to(ROOT)}: there is no variable {variable}"


def named_in():
    """The files whose names of metrics, settings, ports and paths must exist."""
    return [
        RULES, *sorted((ROOT / "deploy" / "grafana").glob("*.json")), *sorted(RUNBOOKS.glob("*.md")),
        *sorted((ROOT / "deploy" / "prometheus").glob("*.yaml")),
    ]


def unknown_metrics(metrics):
    """Yields a line for each named metric that no process has."""
    for path in named_in():
        for metric in sorted(set(METRIC.findall(path.read_text())) - metrics):
            yield f"{path.relative_to(ROOT)}: no process has the metric {metric}"


def unknown_places(answers, port):
    """Paths and ports in runbooks: `answers` says whether a process has a path, and `port` is the port in the
    manifests.
    """
    for path in named_in():
        text, where = path.read_text(), path.relative_to(ROOT)
        paths, ports = re.findall(r"`(/[a-z]+z|/metrics|/v1/[a-z/]+)`", text), re.findall(r"(?:\bport |:)(9\d\d\d)\b", text)
        yield from (f"{where}: no process has {one}" for one in paths if not answers(one))
        yield from (f"{where}: the port is {port}, not {one}" for one in ports if int(one) != port)


def problems():
    yield from promtool("check", "rules", RULES)
    yield from promtool("check", "config", RULES.parent / "prometheus.yaml")
    yield from promtool("test", "rules", RULES.parent / "tests.yaml")
    yield from copies()
    yield from pages()
    yield from links()
    yield from cases()
