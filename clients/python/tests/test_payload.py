"""Payloads: which types have JSON, and what is refused."""

from __future__ import annotations

import enum
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import Any, Literal, Optional, TypedDict, Union

import msgspec
import pydantic
import pytest

import leasehold
from leasehold import App, PayloadError, Run
from leasehold.payload import codec_of


class Colour(enum.Enum):
    RED = "red"


class Place(TypedDict):
    city: str


@dataclass
class Inner:
    n: int
    more: list[int] = field(default_factory=list)


@dataclass
class Outer:
    inner: Inner
    colour: Colour
    when: datetime
    id: uuid.UUID
    name: Optional[str] = None


class Model(pydantic.BaseModel):
    n: int
    when: datetime
    name: str = pydantic.Field(default="x", max_length=3)


class Struct(msgspec.Struct):
    n: int
    name: str = "x"


NOW = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc)
ID = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("annotation", "value", "written"),
    [
        (int, 2**80, 2**80),
        (float, 1, 1),
        (Union[int, str], "a", "a"),
        (Optional[int], None, None),
        (Literal["a", 1], 1, 1),
        (Colour, Colour.RED, "red"),
        (list[Inner], [Inner(1, [2])], [{"n": 1, "more": [2]}]),
        (tuple[int, str], (1, "a"), [1, "a"]),
        (tuple[int, ...], (1, 2), [1, 2]),
        (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
        (date, NOW.date(), "2030-01-02"),
        (Place, {"city": "Graz"}, {"city": "Graz"}),
        (
            Outer,
            Outer(Inner(1), Colour.RED, NOW, ID),
            {"inner": {"n": 1, "more": []}, "colour": "red", "when": NOW.isoformat(), "id": str(ID), "name": None},
        ),
        (Model, Model(n=1, when=NOW), {"n": 1, "when": "2030-01-02T03:04:05.678901Z", "name": "x"}),
        (Struct, Struct(1), {"n": 1, "name": "x"}),
        (Any, {"a": (1, 2)}, {"a": [1, 2]}),
    ],
)
def test_values_come_back(annotation: Any, value: Any, written: Any) -> None:
    codec = codec_of(annotation)
    assert codec.checked(value) == written
    back = codec.decode(written, "")
    assert back == value or annotation is Any


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize(
    ("annotation", "value", "pointer"),
    [
        (int, True, ""),
        (int, "1", ""),
        (int, 1.0, ""),
        (float, float("inf"), ""),
        (bool, 1, ""),
        (Literal["a"], "b", ""),
        (Literal[1], True, ""),
        (list[int], [1, "2"], "/1"),
        (dict[str, int], {"a": "1"}, "/a"),
        (Inner, {"n": 1}, ""),
        (Outer, Outer(Inner("x"), Colour.RED, NOW, ID), "/inner/n"),  # type: ignore[arg-type]
        (datetime, datetime(2030, 1, 1), ""),
        (Any, {1: 2}, ""),
        (Any, {1, 2}, ""),
        (Model, Model.model_construct(n="x", when=NOW), "/n"),
        (Model, Model.model_construct(n=1, when=NOW, name="long"), "/name"),
        (Struct, Struct("1"), ""),  # type: ignore[arg-type]
    ],
)
def test_values_of_another_type_are_refused(annotation: Any, value: Any, pointer: str) -> None:
    with pytest.raises(PayloadError) as caught:
        codec_of(annotation).checked(value)
    assert caught.value.pointer == pointer


@pytest.mark.parametrize("annotation", [bytes, set, complex, dict[int, str], object.__class__, list[bytes]])
def test_types_without_json_are_refused_when_the_job_is_declared(annotation: Any) -> None:
    with pytest.raises(leasehold.ConfigError):
        codec_of(annotation)


def test_a_handler_must_have_types() -> None:
    app = App()

    def without_run() -> None:
        pass

    with pytest.raises(leasehold.ConfigError, match="first parameter"):
        app.job()(without_run)  # type: ignore[arg-type]

    def untyped(run: Run, a) -> None:  # type: ignore[no-untyped-def]
        del a

    def variadic(run: Run, *values: int) -> None:
        del values

    for function in (untyped, variadic):
        with pytest.raises(leasehold.ConfigError):
            app.job()(function)

    @app.job()
    def good(run: Run, a: int, b: str = "x") -> None:
        del a, b

    with pytest.raises(leasehold.ConfigError, match="two handlers"):
        app.job(kind="good")(good.function)
    assert good.new(1).payload == {"a": 1} and good.new(b="y", a=2).payload == {"a": 2, "b": "y"}
    with pytest.raises(PayloadError):
        good.new()  # type: ignore[call-arg]
    with pytest.raises(PayloadError):
        good.new(1, c=2)  # type: ignore[call-arg]


def test_a_model_is_the_whole_payload() -> None:
    app = App()
    seen: list[Any] = []

    @app.job()
    def of_model(run: Run, model: Model) -> None:
        seen.append(model)

    @app.job()
    def of_struct(run: Run, struct: Struct) -> None:
        seen.append(struct)

    payload = of_model.new(Model(n=1, when=NOW)).payload
    assert payload == {"n": 1, "when": "2030-01-02T03:04:05.678901Z", "name": "x"}
    run = leasehold.testing.new_run(of_model.new(Model(n=1, when=NOW)))
    of_model.call(run, payload)
    of_struct.call(run, of_struct.new(Struct(2)).payload)
    assert seen == [Model(n=1, when=NOW), Struct(2)]


def test_durations_and_times_are_written() -> None:
    from datetime import timedelta

    words = leasehold.NewJob("k", None, delay=1.5, timeout=timedelta(minutes=1), expires_in="2h", expires_at=NOW).words()
    assert words == {
        "kind": "k",
        "payload": None,
        "delay": "1500ms",
        "timeout": "60000ms",
        "expires_in": "2h",
        "expires_at": "2030-01-02T03:04:05.678901Z",
    }
    for bad in (-1, float("inf"), float("nan"), True, [1]):
        with pytest.raises(leasehold.ConfigError):
            leasehold.NewJob("k", delay=bad).words()  # type: ignore[arg-type]
    with pytest.raises(leasehold.ConfigError, match="must be a mapping"):
        leasehold.NewJob("k", retry="fixed").words()  # type: ignore[arg-type]
    with pytest.raises(leasehold.ConfigError):
        leasehold.NewJob("k", run_at=datetime(2030, 1, 1)).words()
    with pytest.raises(leasehold.ConfigError, match="must be a list"):
        leasehold.NewJob("k", limit_keys="key").words()
