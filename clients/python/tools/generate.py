"""Writes `src/leasehold/_description.py` from `openapi.json`, the description of the HTTP interface.

    python tools/generate.py                         writes the module
    python tools/generate.py http://127.0.0.1:8080   gets the description from a server first

The tests fail when the module differs from `openapi.json`, or `openapi.json` from the description of the server.
"""

from __future__ import annotations

import json
import pprint
import sys
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent.parent
DESCRIPTION = HERE / "openapi.json"
MODULE = HERE / "src" / "leasehold" / "_description.py"
METHODS = ("get", "put", "post", "patch", "delete")

HEAD = '''"""The types and the operations of the HTTP interface. `tools/generate.py` writes this file from `openapi.json`."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict, Union

'''


def without_prose(node: Any) -> Any:
    """The description without its prose, so that a change of a text does not count as a difference."""
    if isinstance(node, dict):
        return {
            name: without_prose(value)
            for name, value in node.items()
            if not (name in ("description", "summary") and isinstance(value, str))
        }
    return [without_prose(value) for value in node] if isinstance(node, list) else node


def essence(description: dict[str, Any]) -> dict[str, Any]:
    """The parts that a client depends on: operations and schemas, without prose and without the version of the
    server.
    """
    kept: dict[str, Any] = {
        "paths": without_prose(description["paths"]),
        "components": without_prose(description["components"]),
    }
    return kept


def type_of(schema: dict[str, Any]) -> str:
    """The Python type of a schema."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[1]
        return f'"{name}"'
    if "enum" in schema:
        return f"Literal[{', '.join(json.dumps(value) for value in schema['enum'])}]"
    for several in ("oneOf", "anyOf"):
        if several in schema:
            types = [type_of(one) for one in schema[several]]
            return f"Union[{', '.join(dict.fromkeys(types))}]"
    kinds = schema.get("type")
    if kinds is None:
        return "Any"
    if isinstance(kinds, list):
        types = ["None" if kind == "null" else type_of({**schema, "type": kind}) for kind in kinds]
        return f"Union[{', '.join(types)}]"
    if "prefixItems" in schema:
        # A tuple arrives as an array of JSON, which is a list in Python.
        return type_of({"type": "array", "items": {"anyOf": schema["prefixItems"]}})
    if kinds == "array":
        return f"list[{type_of(schema.get('items', {}))}]"
    return {
        "string": "str",
        "integer": "int",
        "number": "float",
        "boolean": "bool",
        "null": "None",
        "object": "dict[str, Any]",
    }[kinds]


def typed_dict(name: str, schema: dict[str, Any]) -> str:
    """The classes of an object: its required fields, and all fields. `NotRequired` needs a newer Python."""
    fields: dict[str, Any] = schema.get("properties", {})
    required = set(schema.get("required", []))

    def lines(names: list[str]) -> str:
        return "".join(f"    {field}: {type_of(fields[field])}\n" for field in names) or "    pass\n"

    needed, free = [f for f in fields if f in required], [f for f in fields if f not in required]
    if not free:
        return f"class {name}(TypedDict):\n{lines(needed)}"
    if not needed:
        return f"class {name}(TypedDict, total=False):\n{lines(free)}"
    base = f"_{name}Required"
    return f"class {base}(TypedDict):\n{lines(needed)}\n\nclass {name}({base}, total=False):\n{lines(free)}"


def module(description: dict[str, Any]) -> str:
    """The text of the module."""
    parts, aliases = [], []
    for name, schema in sorted(description["components"]["schemas"].items()):
        if schema.get("type") == "object":
            parts.append(typed_dict(name, schema))
        elif "allOf" in schema:
            merged: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
            for part in schema["allOf"]:
                merge(merged, part, description)
            parts.append(typed_dict(name, merged))
        else:
            aliases.append(f"{name} = {type_of(schema)}\n")
    operations = {
        operation["operationId"]: (method.upper(), path)
        for path, item in sorted(description["paths"].items())
        for method, operation in item.items()
        if method in METHODS
    }
    codes = description["components"]["schemas"]["Code"]["enum"]
    tail = (
        "#: Method and path of each operation, by its id.\n"
        f"OPERATIONS: Final[dict[str, tuple[str, str]]] = {pprint.pformat(dict(sorted(operations.items())), width=118)}\n\n"
        f"#: The closed list of codes of errors.\nCODES: Final[tuple[str, ...]] = {pprint.pformat(tuple(codes), width=118)}\n"
    )
    return HEAD + "\n" + "\n\n".join(parts) + "\n\n" + "\n".join(aliases) + "\n" + tail


def merge(into: dict[str, Any], part: dict[str, Any], description: dict[str, Any]) -> None:
    """Adds the fields of a part. The fields of alternatives are not required."""
    if "$ref" in part:
        merge(into, description["components"]["schemas"][part["$ref"].rsplit("/", 1)[1]], description)
    elif "oneOf" in part:
        for one in part["oneOf"]:
            alternative: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
            merge(alternative, one, description)
            into["properties"].update(alternative["properties"])
    else:
        into["properties"].update(part.get("properties", {}))
        into["required"].extend(part.get("required", []))


def main() -> None:
    if len(sys.argv) > 1:
        with urllib.request.urlopen(f"{sys.argv[1]}/v1/openapi.json", timeout=30) as answer:
            described = essence(json.load(answer))
        DESCRIPTION.write_text(json.dumps(described, indent=1, sort_keys=True) + "\n")
    MODULE.write_text(module(json.loads(DESCRIPTION.read_text())))


if __name__ == "__main__":
    main()
