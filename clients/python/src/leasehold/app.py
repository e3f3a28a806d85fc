"""`App` and its jobs: functions that are enqueued with typed arguments and run by workers."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, overload

from . import errors
from .aio import AsyncClient
from .client import Client
from .model import Duration, Enqueued, Job, NewJob, Time
from .payload import Codec, Field, codec_of, decode_fields
from .run import Run

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclasses.dataclass(frozen=True)
class Handle(Generic[R_co]):
    """A job that was enqueued."""

    id: str
    inserted: bool
    state: str
    replaced: bool
    _app: App = dataclasses.field(repr=False, compare=False)
    _result: Codec = dataclasses.field(repr=False, compare=False)

    def wait(self, timeout: float = 60.0) -> Job:
        """Waits until the job has ended. Raises `WaitTimedOut`; the job continues."""
        return self._app.client.wait(self.id, timeout)

    def result(self, timeout: float = 60.0) -> R_co:
        """Waits for the result. Raises `JobFailed` if the job has ended without success."""
        return self._read(self.wait(timeout))

    async def result_async(self, timeout: float = 60.0) -> R_co:
        """The same, to be awaited."""
        return self._read(await self._app.async_client.wait(self.id, timeout))

    def _read(self, job: Job) -> R_co:
        if job.state != "succeeded":
            raise errors.JobFailed(job.id, job.state, job.last_error)
        value: R_co = self._result.decode(job.result, "")
        return value


class JobType(Generic[P, R]):
    """A kind of job, with its handler. `App.job` makes it."""

    def __init__(self, app: App, function: Callable[..., Any], words: NewJob) -> None:
        self.app = app
        #: The handler, as it was written.
        self.function = function
        self.words = words
        self.is_async = inspect.iscoroutinefunction(function)
        self._signature, self._fields, self._whole, self._result = _read(function)

    @property
    def kind(self) -> str:
        """The kind of its jobs."""
        return self.words.kind

    @property
    def queue(self) -> str:
        """The queue of its jobs."""
        return self.words.queue or "default"

    def options(
        self,
        *,
        queue: str | None = None,
        priority: int | None = None,
        delay: Duration | None = None,
        run_at: Time | None = None,
        unique_key: str | None = None,
        unique: Mapping[str, Any] | None = None,
        limit_keys: Sequence[str] | None = None,
        fair_key: str | None = None,
        batch: str | None = None,
        webhook: str | None = None,
        traceparent: str | None = None,
        max_attempts: int | None = None,
        timeout: Duration | None = None,
        retry: Mapping[str, Any] | None = None,
        expires_at: Time | None = None,
        expires_in: Duration | None = None,
        depends_on: Sequence[str] | None = None,
        on_parent_failure: str | None = None,
        id: str | None = None,
    ) -> JobType[P, R]:
        """The same kind of job with other options: `resize.options(priority=5).enqueue(path="a.png", width=320)`."""
        given = {name: value for name, value in locals().items() if name != "self" and value is not None}
        return JobType(self.app, self.function, dataclasses.replace(self.words, **given))

    def new(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """The job for these arguments, checked but not enqueued: for `enqueue_many`, for a graph, or for
        `run.then`.
        """
        return dataclasses.replace(self.words, payload=self._encode(args, kwargs))

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Enqueues a job. Raises `PayloadError` if an argument does not have its type."""
        return self._handle(self.app.client.enqueue_job(self.new(*args, **kwargs)))

    async def enqueue_async(self, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """The same, to be awaited."""
        return self._handle(await self.app.async_client.enqueue_job(self.new(*args, **kwargs)))

    def call(self, run: Run, payload: Any) -> Any:
        """Calls the handler with a payload in JSON. For an async handler this returns a coroutine."""
        args, kwargs = self._decode(payload)
        return self.function(run, *args, **kwargs)

    def result_json(self, result: Any) -> Any:
        """The result as JSON. Raises `PayloadError` if it does not have the declared type."""
        return self._result.checked(result)

    def _handle(self, made: Enqueued) -> Handle[R]:
        return Handle(made.id, made.inserted, made.state, made.replaced, self.app, self._result)

    def _encode(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise errors.PayloadError("", f"{self.kind}: {error}") from error
        if self._whole is not None:
            # Without an argument, its default is the payload.
            bound.apply_defaults()
            return self._whole.checked(next(iter(bound.arguments.values())))
        return {name: self._fields[name].codec.checked(one, f"/{name}") for name, one in bound.arguments.items()}

    def _decode(self, payload: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self._whole is not None:
            return (self._whole.decode(payload, ""),), {}
        bound = inspect.BoundArguments(self._signature, typing.cast(Any, decode_fields(self._fields, payload, "")))
        return bound.args, bound.kwargs


def _read(function: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Field], Codec | None, Codec]:
    """The signature without `run`, the fields of the payload or the codec of the whole payload, and the codec of the result."""
    name = function.__qualname__
    hints = typing.get_type_hints(function, include_extras=True)
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if not parameters or hints.get(parameters[0].name) is not Run:
        raise errors.ConfigError(f"the first parameter of {name} must be `run: leasehold.Run`")
    fields: dict[str, Field] = {}
    for parameter in parameters[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise errors.ConfigError(f"{name} must name its parameters: a payload has named fields")
        if parameter.name not in hints:
            raise errors.ConfigError(f"the parameter {parameter.name} of {name} has no type")
        fields[parameter.name] = Field(codec_of(hints[parameter.name]), parameter.default is parameter.empty)
    single = next(iter(fields.values())).codec if len(fields) == 1 else None
    whole = single if single is not None and single.is_record else None
    result = codec_of(hints.get("return", Any))
    return signature.replace(parameters=parameters[1:]), fields, whole, result


class _Decorator(Protocol):
    """Makes a `JobType` from a function. For an async function, the type has the result of its coroutine."""

    @overload
    def __call__(self, function: Callable[Concatenate[Run, P], Coroutine[Any, Any, R]], /) -> JobType[P, R]: ...

    @overload
    def __call__(self, function: Callable[Concatenate[Run, P], R], /) -> JobType[P, R]: ...


#: Something around each run: a span, a transaction, a log context.
Around = Callable[[Run], AbstractContextManager[Any]]


class App:
    """The jobs of a program. Producers and workers import the same app.

    `around` is called for each run and returns a context manager, in which the handler runs.
    """

    def __init__(
        self,
        client: Client | None = None,
        async_client: AsyncClient | None = None,
        *,
        url: str | None = None,
        token: str | None = None,
        around: Sequence[Around] = (),
    ) -> None:
        self._client, self._async_client = client, async_client
        self._url, self._token = url, token
        self.around = tuple(around)
        self.jobs: dict[str, JobType[Any, Any]] = {}

    @property
    def client(self) -> Client:
        """The sync client. It is made at its first use, so that importing an app needs no server."""
        if self._client is None:
            self._client = Client(self._url, self._token)
        return self._client

    @client.setter
    def client(self, client: Client) -> None:
        self._client = client

    @property
    def async_client(self) -> AsyncClient:
        """The async client."""
        if self._async_client is None:
            self._async_client = AsyncClient(self._url, self._token)
        return self._async_client

    def replace_clients(
        self, client: Client | None, async_client: AsyncClient | None
    ) -> tuple[Client | None, AsyncClient | None]:
        """Uses other clients, such as the clients of `leasehold.testing`. Returns the previous ones."""
        before = (self._client, self._async_client)
        self._client, self._async_client = client, async_client
        return before

    def job(
        self,
        *,
        kind: str | None = None,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        timeout: Duration | None = None,
        retry: Mapping[str, Any] | None = None,
        limit_keys: Sequence[str] | None = None,
        expires_in: Duration | None = None,
        unique: Mapping[str, Any] | None = None,
    ) -> _Decorator:
        """Turns a function into a kind of job. Its first parameter is `run: Run`; the others are the payload.

        A single parameter that is a dataclass, a `TypedDict` or a model is the whole payload. Otherwise the payload is an object
        with a field for each parameter. Without `kind`, the name of the function is the kind.
        """

        def decorate(function: Callable[..., Any]) -> JobType[Any, Any]:
            words = NewJob(
                kind=kind or function.__name__,
                queue=queue,
                priority=priority,
                max_attempts=max_attempts,
                timeout=timeout,
                retry=retry,
                limit_keys=limit_keys,
                expires_in=expires_in,
                unique=unique,
            )
            if words.kind in self.jobs:
                raise errors.ConfigError(f"the app has two handlers for the kind {words.kind}")
            made: JobType[Any, Any] = JobType(self, function, words)
            self.jobs[words.kind] = made
            return made

        return typing.cast(_Decorator, decorate)

    def queues(self) -> list[str]:
        """The queues of its jobs."""
        return sorted({job.queue for job in self.jobs.values()})


