"""The exceptions of the package.

All errors of the server have the same form, with a code from a fixed list. Each code has its class, so a program can
catch the errors that it expects, and all others are raised::

    try:
        client.cancel(id)
    except leasehold.NotFound:
        ...

A code that this package does not know, from a newer server, raises a plain `ApiError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final


class LeaseholdError(Exception):
    """The base class of every exception of this package."""


class ConfigError(LeaseholdError):
    """A setting of the client, of an app or of a worker is not valid."""


class PayloadError(LeaseholdError, ValueError):
    """A payload or a result does not have the type that its handler declares."""

    def __init__(self, pointer: str, message: str) -> None:
        super().__init__(f"{pointer or 'the value'}: {message}")
        #: A JSON pointer to the value; empty for the whole.
        self.pointer = pointer


class ConnectionFailed(LeaseholdError):
    """The server could not be reached, or the connection broke."""

    def __init__(self, message: str, *, was_sent: bool) -> None:
        super().__init__(message)
        #: Whether the server may have got the request.
        self.was_sent = was_sent


class WaitTimedOut(LeaseholdError, TimeoutError):
    """The job or the batch has not ended within the timeout. It continues."""


class JobFailed(LeaseholdError):
    """The job whose result the caller waited for has ended without success."""

    def __init__(self, id: str, state: str, error: str | None) -> None:
        super().__init__(f"the job {id} is {state}: {error or 'no error text'}")
        self.id, self.state, self.error = id, state, error


@dataclass(frozen=True)
class Detail:
    """One bad field of a request."""

    #: A JSON pointer into the body; or `/path/…`, `/query/…` or `/headers/…`.
    pointer: str
    code: str
    message: str


class ApiError(LeaseholdError):
    """The server has answered with an error."""

    #: The code of the answers that become this class.
    code_of_class: ClassVar[str] = ""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int,
        details: Sequence[Detail] = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{message} ({code}, {status})")
        self.code, self.message, self.status = code, message, status
        self.details = tuple(details)
        #: The log of the server has this id too.
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class Malformed(ApiError):
    """The body is no JSON, or the request cannot be read."""

    code_of_class = "malformed"


class Unauthorized(ApiError):
    """The server requires a token, and the request had none or an invalid one."""

    code_of_class = "unauthorized"


class Forbidden(ApiError):
    """The token does not allow this call, or the request comes from a web page of another site."""

    code_of_class = "forbidden"


class NotFound(ApiError):
    """The job, batch, limit or schedule of the path does not exist."""

    code_of_class = "not_found"


class MethodNotAllowed(ApiError):
    """The path does not support this method."""

    code_of_class = "method_not_allowed"


class RequestTimeout(ApiError):
    """The client took too long to send the request."""

    code_of_class = "request_timeout"


class Conflict(ApiError):
    """The state of the job or of the batch does not allow the change."""

    code_of_class = "conflict"


class LeaseLost(ApiError):
    """The lease of the run is lost: drop the run."""

    code_of_class = "lease_lost"


class Draining(ApiError):
    """The worker is drained: it ends its runs and gets no more jobs."""

    code_of_class = "draining"


class TooLarge(ApiError):
    """The body is too large."""

    code_of_class = "too_large"


class UnsupportedMediaType(ApiError):
    """The body must be `application/json`."""

    code_of_class = "unsupported_media_type"


class Invalid(ApiError):
    """A field is not valid. `details` names each such field."""

    code_of_class = "invalid"


class IdempotencyMismatch(ApiError):
    """The same `Idempotency-Key` was sent with another body."""

    code_of_class = "idempotency_mismatch"


class TooManyRequests(ApiError):
    """Too many requests. The client repeats the request automatically for some time."""

    code_of_class = "too_many_requests"


class Locked(ApiError):
    """An open transaction of another session holds the row. Nothing was changed."""

    code_of_class = "locked"


class Unavailable(ApiError):
    """PostgreSQL is unavailable, or the server stops."""

    code_of_class = "unavailable"


class OutcomeUnknown(ApiError):
    """The connection to PostgreSQL was lost, and it is not known whether the jobs were accepted."""

    code_of_class = "outcome_unknown"


class Internal(ApiError):
    """A fault of the server. The log of the server has the reason under the `request_id`."""

    code_of_class = "internal"


#: The class of each code.
BY_CODE: Final[Mapping[str, type[ApiError]]] = {kind.code_of_class: kind for kind in ApiError.__subclasses__()}

#: The codes for answers without a code: a proxy has made them.
_BY_STATUS: Final[Mapping[int, str]] = {
    400: "malformed",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "too_many_requests",
    502: "unavailable",
    503: "unavailable",
    504: "unavailable",
}


def of_problem(
    problem: Mapping[str, Any] | None,
    status: int,
    request_id: str | None = None,
    retry_after_s: float | None = None,
) -> ApiError:
    """The exception for the field `error` of an answer; `None`: the answer has no such field."""
    if problem is None:
        code = _BY_STATUS.get(status, "internal")
        message = f"the answer has status {status} and is not of the Leasehold server"
        details: list[Detail] = []
    else:
        code, message = str(problem.get("code", "internal")), str(problem.get("message", ""))
        details = [
            Detail(str(one.get("pointer", "")), str(one.get("code", "")), str(one.get("message", "")))
            for one in problem.get("details", ())
        ]
    kind = BY_CODE.get(code, ApiError)
    return kind(code, message, status=status, details=details, request_id=request_id, retry_after_s=retry_after_s)
