"""`make k8s-check`: renders all manifests, validates them, and compares them with the golden files and with the program.

    check.py [--write] [PROGRAM]

With `--write` the golden files and the copies of the rules for Prometheus are written. PROGRAM is the program `leasehold` whose settings, paths and metrics must be those of the
manifests. Every overlay and every set of values is run with it, as processes on servers of `leasehold dev`.
"""

import argparse
import sys
import time

import alerts
import broken
import chart
import image
import live
import render
import rules
import schemas
import workflows


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("program", nargs="?")
    arguments = arguments.parse_args()
    began = time.monotonic()
    problems = list(alerts.copies(arguments.write))
    found = render.renderings()
    problems += list(render.compare(found, arguments.write))
    parsed = {name: render.documents(text) for name, text in found.items()}
    for name, documents in parsed.items():
        problems += [f"{name}: {line}" for document in documents for line in schemas.problems(document)]
        problems += [f"{name}: {line}" for line in rules.problems(documents)]
    problems += broken.unnoticed([parsed[f"{by}-{name}"] for name in ("keda", "api", "hpa") for by in ("kustomize", "helm")])
    problems += rules.stop_timeout_problems(render.ROOT)
    problems += chart.problems()
    problems += image.problems()
    problems += workflows.problems()
    print(f"{len(parsed)} renderings, {sum(map(len, parsed.values()))} documents, {len(broken.BREAKS)} breaks", flush=True)
    if arguments.program and not problems:
        problems += live.problems(arguments.program, parsed)
    for line in problems:
        print(line, file=sys.stderr)
    print(f"k8s-check: {len(problems)} problems, {time.monotonic() - began:.1f} s")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
