"""The types that the client, the async client and the server in memory share: a request, its answer, and the server
to which it is sent.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast
from urllib.parse import quote, urlencode, urlsplit

from . import errors

DEFAULT_URL: Final = "http://127.0.0.1:8080"
USER_AGENT: Final = "leasehold-python"
#: An idle connection that is older is not used again: the server closes it after 75 s, and a proxy perhaps sooner.
IDLE_MAX_S: Final = 30.0
#: The longest answer that is read, in bytes. A claim is answered with at most 64 MiB of payloads.
ANSWER_MAX_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True)
class Request:
    """A request without the server and the token: the transport adds both."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    #: How long the answer may take, from the first byte of the connection to the last byte of the answer.
    timeout_s: float = 10.0


class TooLong(str):
    """The digits of a whole number that has more digits than Python reads (`sys.get_int_max_str_digits`)."""


def loads(text: bytes) -> Any:
    """Reads JSON. A number that is too long for Python must not make the whole answer unreadable, because the answer
    may contain other jobs.
    """
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(text, parse_int=_whole)


def _whole(digits: str) -> int | TooLong:
    try:
        return int(digits)
    except ValueError:
        return TooLong(digits)


def has_too_long(value: Any) -> bool:
    """Whether some number of this value is too long."""
    if isinstance(value, dict):
        return any(has_too_long(part) for part in cast("Mapping[str, Any]", value).values())
    if isinstance(value, list):
        return any(has_too_long(part) for part in cast("Sequence[Any]", value))
    return isinstance(value, TooLong)


@dataclass(frozen=True)
class Answer:
    """The answer of the server, read to its end."""

    status: int
    #: The names are in lower case.
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body; raises the exception for an answer that is an error."""
        try:
            value: Any = loads(self.body) if self.body else None
        except ValueError:
            value = None
        if 200 <= self.status < 300:
            if value is None:
                raise errors.of_problem(None, 502, self.headers.get("x-request-id"))
            return value
        body = _object(value)
        raise errors.of_problem(
            _object(body.get("error")) if body else None,
            self.status,
            self.headers.get("x-request-id"),
            _seconds(self.headers.get("retry-after")),
        )


class Transport(Protocol):
    """Sends requests. Raises `ConnectionFailed` when there is no answer."""

    def send(self, request: Request) -> Answer:
        """Sends a request, and reads its answer to the end."""
        ...

    def close(self) -> None:
        """Closes the connections. A later request opens new ones."""
        ...


@dataclass(frozen=True)
class Place:
    """The address of the server, and the token of the client."""

    scheme: str
    host: str
    port: int
    prefix: str
    token: str | None

    @classmethod
    def of(cls, url: str | None, token: str | None) -> Place:
        """Reads a URL. Missing values come from the environment: `LEASEHOLD_URL` (or `LEASEHOLD_API_URL`, which the
        commands of Leasehold read), and `LEASEHOLD_TOKEN`."""
        url = url or os.environ.get("LEASEHOLD_URL") or os.environ.get("LEASEHOLD_API_URL") or DEFAULT_URL
        token = token or os.environ.get("LEASEHOLD_TOKEN") or None
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError as error:
            raise errors.ConfigError(f"the URL of the server has no valid port: {url}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise errors.ConfigError(f"the URL of the server must be such as http://127.0.0.1:8080, not {url}")
        if parts.username or parts.password:
            raise errors.ConfigError("the URL of the server must not contain a user: give a token")
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise errors.ConfigError("the token has characters that no token has")
        usual = 443 if parts.scheme == "https" else 80
        return cls(parts.scheme, parts.hostname, port or usual, parts.path.rstrip("/"), token)

    def __repr__(self) -> str:
        return f"Place({self.scheme}://{self.host}:{self.port}{self.prefix})"

    @property
    def authority(self) -> str:
        """The value of `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"

    def headers(self, request: Request) -> dict[str, str]:
        """All headers of a request."""
        headers = {
            "host": self.authority,
            "user-agent": USER_AGENT,
            "accept": "application/json",
            # Compression would cost more than it saves: answers are small.
            "accept-encoding": "identity",
        }
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        if request.body is not None:
            headers["content-type"] = "application/json"
        if request.body is not None or request.method in ("POST", "PUT", "PATCH"):
            headers["content-length"] = str(len(request.body or b""))
        return {**headers, **request.headers}


def path_of(template: str, names: Mapping[str, object], query: Mapping[str, object]) -> str:
    """Fills the names into the path of an operation."""
    path = template
    for name, value in names.items():
        path = path.replace("{" + name + "}", quote(str(value), safe=""))
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def json_body(value: object) -> bytes:
    """JSON as bytes. Refuses values that JSON does not have, such as NaN and sets."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise errors.PayloadError("", f"cannot be written as JSON: {error}") from error


def _object(value: object) -> dict[str, Any] | None:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _seconds(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
