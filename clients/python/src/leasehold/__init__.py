"""Leasehold: durable jobs over HTTP. A client, typed jobs, and a worker. The package needs only the standard library.

`Client` and `AsyncClient` enqueue jobs and read them. `App` turns functions into kinds of jobs. `python -m leasehold
worker module:app` runs them. `leasehold.testing` is a server in memory for unit tests.
"""

from .aio import AsyncClient
from .app import App, Handle, JobType
from .client import Client
from .errors import (
    ApiError,
    ConfigError,
    Conflict,
    ConnectionFailed,
    Detail,
    Draining,
    Forbidden,
    IdempotencyMismatch,
    Internal,
    Invalid,
    JobFailed,
    LeaseholdError,
    LeaseLost,
    Locked,
    Malformed,
    MethodNotAllowed,
    NotFound,
    OutcomeUnknown,
    PayloadError,
    RequestTimeout,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    WaitTimedOut,
)
from .model import Enqueued, Job, JobPage, NewJob, Node
from .run import Cancelled, Fence, Never, Retry, Run, Snooze
from . import testing
from .worker import Settings, Worker

__version__ = "0.1.0"

__all__ = [
    "ApiError",
    "App",
    "AsyncClient",
    "Cancelled",
    "Client",
    "ConfigError",
    "Conflict",
    "ConnectionFailed",
    "Detail",
    "Draining",
    "Enqueued",
    "Fence",
    "Forbidden",
    "Handle",
    "IdempotencyMismatch",
    "Internal",
    "Invalid",
    "Job",
    "JobFailed",
    "JobPage",
    "JobType",
    "LeaseLost",
    "LeaseholdError",
    "Locked",
    "Malformed",
    "MethodNotAllowed",
    "Never",
    "NewJob",
    "Node",
    "NotFound",
    "OutcomeUnknown",
    "PayloadError",
    "RequestTimeout",
    "Retry",
    "Run",
    "Settings",
    "Snooze",
    "TooLarge",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "UnsupportedMediaType",
    "WaitTimedOut",
    "Worker",
    "__version__",
    "testing",
]
