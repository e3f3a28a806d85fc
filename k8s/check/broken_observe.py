"""Tests the checks: for each check it breaks a copy of the rules, runbooks or dashboards in one way, which the check
must notice.
"""

import pathlib
import shutil
import tempfile
import unittest.mock

import alerts
import dashboards
from render import ROOT

RULES, TESTS, INDEX = "deploy/prometheus/rules.yaml", "deploy/prometheus/tests.yaml", "docs/runbooks/README.md"
PAGE, QUEUE = "docs/runbooks/LeaseholdDrift.md", "deploy/grafana/queue.json"
# Every metric that is named, so that only the broken name is unknown.
KNOWN = {metric for path in alerts.named_in() for metric in alerts.METRIC.findall(path.read_text())}
unknown_metrics = lambda: alerts.unknown_metrics(KNOWN)
unknown_places = lambda: alerts.unknown_places(lambda path: path != "/broken", 9464)


def replaced(file, old, new):
    def break_it(root):
        path = root / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r} to break"
        path.write_text(text.replace(old, new, 1))

    return break_it


def removed(file):
    return lambda root: (root / file).unlink()


# Check, name of the break, break.
BREAKS = [
    (alerts.pages, "an alert without a page", removed(PAGE)),
    (alerts.pages, "a page without an alert", lambda root: shutil.copy(root / PAGE, root / "docs/runbooks/LeaseholdOther.md")),
    (alerts.pages, "another severity", replaced(PAGE, "Severity: ticket", "Severity: page")),
    (alerts.pages, "a part is missing", replaced(PAGE, "## Action\n", "## Actions\n")),
    (alerts.pages, "a first look without a command", replaced(PAGE, "```sh\n", "```\n")),
    (alerts.pages, "an alert that the index does not list", replaced(INDEX, "| [LeaseholdDrift]", "| [Drift]")),
    (alerts.pages, "the address of another page", replaced(RULES, "runbooks/LeaseholdDrift.md", "runbooks/Drift.md")),
    (alerts.links, "a link to nowhere", replaced(PAGE, "../reference.md", "reference.md")),
    (alerts.cases, "an alert without cases", replaced(RULES, "- alert: LeaseholdDrift", "- alert: LeaseholdOther")),
    (alerts.copies, "rules that differ from their copy", replaced(RULES, "for: 10m", "for: 11m")),
    (unknown_metrics, "a metric in a rule", replaced(RULES, "leasehold_drift_total", "leasehold_drifts_total")),
    (unknown_metrics, "a metric in a dashboard", replaced(QUEUE, "leasehold_queued", "leasehold_waiting")),
    (unknown_places, "another port", replaced(PAGE, "# LeaseholdDrift\n", "# LeaseholdDrift\n\nThe port 9465.\n")),
    (dashboards.shape, "a dashboard is missing", removed(QUEUE)),
    (dashboards.shape, "a variable that does not exist", replaced(QUEUE, '=~\\"$queue\\"', '=~\\"$queues\\"')),
    (dashboards.shape, "all fleets together", replaced(QUEUE, 'namespace=~\\"$namespace\\",', "")),
    (dashboards.shape, "a panel over another one", replaced(QUEUE, '"x": 4,', '"x": 3,')),
    (dashboards.shape, "a Prometheus of its own", replaced(QUEUE, '"uid": "${datasource}"', '"uid": "mine"')),
]


def unnoticed():
    """Yields a line for each break that its check does not notice."""
    for check, what, break_it in BREAKS:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for part in "deploy/prometheus", "deploy/grafana", "docs/runbooks":
                shutil.copytree(ROOT / part, root / part)
            shutil.copy(ROOT / "docs/reference.md", root / "docs")
            shutil.copy(ROOT / "docs/kubernetes.md", root / "docs")
            shutil.copy(alerts.COMPONENT, root / "component.yaml")
            shutil.copy(alerts.IN_CHART, root / "chart.yaml")
            break_it(root)
            places = unittest.mock.patch.multiple(
                alerts, ROOT=root, RULES=root / RULES, RUNBOOKS=root / "docs/runbooks",
                COMPONENT=root / "component.yaml", IN_CHART=root / "chart.yaml",
            )
            with places, unittest.mock.patch.object(dashboards, "FOLDER", root / "deploy/grafana"):
                found = list(check())
            if not found:
                yield f"no check notices: {what}"
