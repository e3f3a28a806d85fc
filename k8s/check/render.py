"""Renders every overlay and every set of values, and compares the result with the golden files."""

import difflib
import pathlib
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "k8s" / "golden"
CHART = ROOT / "deploy" / "helm" / "leasehold"
PROGRAMS = pathlib.Path(sys.executable).parent


class Refused(Exception):
    """A program refused its input. The text is what it printed."""


def output(*command, given=None):
    done = subprocess.run(command, capture_output=True, text=True, input=given, check=False)
    if done.returncode != 0:
        raise Refused(done.stderr.strip() or done.stdout.strip())
    return done.stdout


def kustomize(folder):
    return output(PROGRAMS / "kubectl", "kustomize", folder)


def helm(*arguments):
    """One release `fleet` of the chart."""
    command = [PROGRAMS / "helm", "template", "fleet", CHART, "--namespace", "leasehold"]
    return output(*command, *arguments)


def value_sets():
    return sorted((CHART / "ci").glob("*.yaml"))


def renderings():
    """Every rendering by name: the name of its golden file, without the suffix."""
    found = {}
    for overlay in sorted((ROOT / "k8s" / "overlays").iterdir()):
        found[f"kustomize-{overlay.name}"] = kustomize(overlay)
    for values in value_sets():
        found[f"helm-{values.stem}"] = helm("--values", values)
    return found


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def compare(found, write):
    """Yields a line for each difference from the golden files. With `write`, makes the golden files equal instead."""
    GOLDEN.mkdir(exist_ok=True)
    wanted = {path.stem: path for path in GOLDEN.glob("*.yaml")}
    for name in sorted(wanted.keys() - found.keys()):
        if write:
            wanted[name].unlink()
        else:
            yield f"{name}: the golden file has no overlay and no set of values"
    for name, text in found.items():
        path = GOLDEN / f"{name}.yaml"
        if write:
            path.write_text(text)
            continue
        golden = path.read_text() if path.exists() else ""
        if golden != text:
            lines = difflib.unified_diff(
                golden.splitlines(), text.splitlines(), "golden", "rendered", lineterm="", n=2
            )
            yield f"{name}: differs from its golden file (make k8s-golden accepts it)\n" + "\n".join(lines)
