"""Checks the dashboards of Grafana without Grafana: the query of each panel must have data in a real Prometheus."""

import json
import math
import re

from render import ROOT

FOLDER = ROOT / "deploy" / "grafana"
NAMES = {"overview", "queue", "worker", "reaper", "stores"}
# What Grafana puts in for its own variables, with the windows of the check.
OWN = {"$__rate_interval": "15s", "$__range": "60s"}


def read():
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def panels(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def queries(dashboard):
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def filled_in(expression, fleet):
    """The expression with values for the variables of Grafana: one fleet, and all of its queues and processes."""
    for variable, value in OWN.items():
        expression = expression.replace(variable, value)
    expression = expression.replace('"$namespace"', f'"{fleet}"')
    return re.sub(r'"\$\w+"', '".*"', expression)


def shape():
    """Checks that need no Prometheus: all dashboards exist, and Grafana can show them."""
    found = read()
    if found.keys() != NAMES:
        yield f"deploy/grafana: has {sorted(found)} and not {sorted(NAMES)}"
    uids = [dashboard["uid"] for dashboard in found.values()]
    if len(set(uids)) != len(uids):
        yield "deploy/grafana: two dashboards have one uid"
    for name, dashboard in found.items():
        where = f"deploy/grafana/{name}.json"
        variables = {variable["name"] for variable in dashboard["templating"]["list"]}
        taken = set()
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            if cells & taken or place["x"] + place["w"] > 24:
                yield f"{where}: the panel {panel['title']} covers another one, or is outside"
            taken |= cells
        asked = [part.get("datasource") for part in dashboard["templating"]["list"] if part["type"] == "query"]
        asked += [part.get("datasource") for panel in panels(dashboard) for part in (panel, *panel["targets"])]
        if any(source != {"type": "prometheus", "uid": "${datasource}"} for source in asked):
            yield f"{where}: something asks another Prometheus than the one that is chosen"
        ids = [panel["id"] for panel in dashboard["panels"]]
        if len(set(ids)) != len(ids):
            yield f"{where}: two panels have one id"
        for panel in panels(dashboard):
            if not panel["fieldConfig"]["defaults"].get("unit"):
                yield f"{where}: the panel {panel['title']} has no unit"
        for title, expression in queries(dashboard):
            used = {word for word in re.findall(r"\$(\w+)", expression) if f"${word}" not in OWN}
            yield from (f"{where}: {title}: there is no variable {word}" for word in sorted(used - variables))
            if "namespace" not in used:
                yield f"{where}: {title}: mixes all fleets"


def without_data(prometheus, fleet):
    """Yields a line for each query without a number, and for each variable without a value."""
    for name, dashboard in read().items():
        where = f"deploy/grafana/{name}.json"
        for title, expression in queries(dashboard):
            values = [value for _, value in prometheus.query(filled_in(expression, fleet))]
            if not values or all(math.isnan(value) for value in values):
                yield f"{where}: {title}: no data: {expression}"
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()
                found = [one for one, _ in prometheus.query(f'{metric}{{namespace="{fleet}"}}') if one.get(label)]
                if not found:
                    yield f"{where}: the variable {variable['name']} has no value: {variable['definition']}"
