"""The description of the server and the client agree."""

from __future__ import annotations

import importlib.util
import inspect
import json
import urllib.request
from pathlib import Path
from types import ModuleType

from conftest import Fleet

import leasehold
from leasehold import _calls, _description, errors

ROOT = Path(__file__).resolve().parent.parent
HOW = "run `python tools/generate.py URL` in clients/python, and see what the client should do with the change"
#: Operations of the server that the client leaves to others: the batch forms of what a worker does one by one, what only operators do, the
#: demand of a queue, which is for autoscalers, the stream of events, and the progress of runs, which the worker of this package does not tell.
LEFT_OUT = {"renew", "settle_all", "list_weights", "set_weight", "drain_worker", "scale_queue", "queue_times", "events", "progress"}
#: Groups of operations that are for operators, who have the command line.
TAGS_LEFT_OUT = {"webhooks", "tokens"}


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "tools" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_copy_is_the_description_of_the_server(fleet: Fleet) -> None:
    with urllib.request.urlopen(f"{fleet.url}/v1/openapi.json", timeout=30) as answer:
        served = _generator().essence(json.load(answer))
    kept = json.loads((ROOT / "openapi.json").read_text())
    for part in ("paths", "components"):
        here = kept[part]["schemas"] if part == "components" else kept[part]
        there = served[part]["schemas"] if part == "components" else served[part]
        differ = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
        assert not differ, f"the server has changed {differ}: {HOW}"
    assert kept == served, HOW


def test_the_types_are_those_of_the_copy() -> None:
    made = _generator().module(json.loads((ROOT / "openapi.json").read_text()))
    assert inspect.getsource(_description) == made, "run `python tools/generate.py` in clients/python"


def test_the_client_knows_every_operation_and_code() -> None:
    source = inspect.getsource(_calls) + inspect.getsource(leasehold.client)
    used = {operation for operation in _description.OPERATIONS if f'"{operation}"' in source}
    # `end_run` has the operation as an argument.
    used |= {"complete", "fail", "snooze", "release"}
    paths = json.loads((ROOT / "openapi.json").read_text())["paths"].values()
    tags = {one["operationId"]: set(one["tags"]) for path in paths for one in path.values() if "operationId" in one}
    wanted = {operation for operation in _description.OPERATIONS if not tags[operation] & TAGS_LEFT_OUT}
    assert wanted - used == LEFT_OUT, "add the operations to the client, or to LEFT_OUT with a reason"
    assert set(_description.CODES) <= set(errors.BY_CODE), "a code of the server has no class"
