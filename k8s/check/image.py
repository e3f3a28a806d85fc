"""The image, and deploy/compose.yaml with the variables of deploy/.env.example."""

import re

import yaml

import render
import rules

DOCKERFILE = render.ROOT / "deploy" / "Dockerfile"
COMPOSE = render.ROOT / "deploy" / "compose.yaml"
EXAMPLE = render.ROOT / "deploy" / ".env.example"
VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


def example():
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def services(variables):
    """The services of the file after Compose has replaced the variables. Fails if a required variable is not set."""

    def value(match):
        name, mode, rest = match.groups()
        if variables.get(name):
            return variables[name]
        if mode == "-":
            return rest
        raise render.Refused(f"{name}: {rest or 'not set'}")

    def replaced(part):
        if isinstance(part, str):
            return VARIABLE.sub(value, part)
        if isinstance(part, list):
            return [replaced(one) for one in part]
        if isinstance(part, dict):
            return {key: replaced(one) for key, one in part.items()}
        return part

    return replaced(yaml.safe_load(COMPOSE.read_text())["services"])


def of_leasehold(found):
    return {name: one for name, one in found.items() if one["image"].startswith("leasehold:")}


def compose():
    found = services(example())
    used = {match.group(1) for match in VARIABLE.finditer(COMPOSE.read_text())}
    if used != example().keys():
        yield f"compose: .env.example and compose.yaml differ in {sorted(used ^ example().keys())}"
    try:
        services({key: value for key, value in example().items() if key != "POSTGRES_PASSWORD"})
        yield "compose: starts without a password"
    except render.Refused:
        pass
    for name, service in found.items():
        if any(not port.startswith("127.0.0.1:") for port in service.get("ports", [])):
            yield f"compose: {name} is open to other machines"
        yield from (f"compose: {name} waits for {other}" for other in service.get("depends_on", {}) if other not in found)
    for name, service in of_leasehold(found).items():
        if not (service.get("read_only") and service.get("cap_drop") == ["ALL"]):
            yield f"compose: {name} has more rights than it needs"
        for variable, host in ("LEASEHOLD_DATABASE_URL", "postgres"), ("LEASEHOLD_REDIS_URL", "redis"):
            if f"@{host}:" not in service["environment"][variable]:
                yield f"compose: {variable} of {name} does not name the service {host}"
    worker = found["worker"]
    times = [int(worker["environment"][f"LEASEHOLD_WORKER__{of}_MS"]) / 1000 for of in ("GRACE", "KILL_AFTER")]
    if int(worker["stop_grace_period"].removesuffix("s")) <= sum(times) + rules.STOP_TIMEOUT_S + rules.MARGIN_S:
        yield "compose: stop_grace_period of the worker is shorter than a drain"


def dockerfile():
    try:
        render.output(render.PROGRAMS / "hadolint", DOCKERFILE)
    except render.Refused as refused:
        yield f"Dockerfile: {refused}"
    text = DOCKERFILE.read_text()
    for line in re.findall(r"^FROM .*$", text, re.MULTILINE):
        if not re.match(r"FROM \$\{\w+\}", line):
            yield f"Dockerfile: {line}: the image is no ARG"
    if [user for user in re.findall(r"^USER (.*)$", text, re.MULTILINE)] != ["10001:10001"]:
        yield "Dockerfile: USER must be the number that the manifests have"
    for source in re.findall(r"^COPY (?:--chmod=\d+ )?(deploy/\S+) ", text, re.MULTILINE):
        if not (render.ROOT / source).exists():
            yield f"Dockerfile: {source} does not exist"


def problems():
    yield from dockerfile()
    yield from compose()
