"""Converts payloads and results between typed values and JSON, with checks in both directions.

A codec is made once for each annotation. It supports the types of JSON, dataclasses, `TypedDict`s, enums, dates,
UUIDs, and the models of pydantic and msgspec if the program has imported them. There is no pickle, and nothing is
converted silently: `"3"` is no `int`.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import enum
import json
import math
import sys
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Union, get_args, get_origin

from .errors import ConfigError, PayloadError
from .model import time_of

#: A function from a value to a value. The second argument is the JSON pointer of the value.
Turn = Callable[[Any, str], Any]


@dataclass(frozen=True)
class Codec:
    """How values of one type become JSON, and how JSON becomes such values."""

    encode: Turn
    decode: Turn
    #: Whether the JSON of the type is an object with named fields.
    is_record: bool = False

    def checked(self, value: Any, pointer: str = "") -> Any:
        """The JSON of a value. The JSON is read back, so that a value that a worker would refuse is refused here."""
        encoded = self.encode(value, pointer)
        self.decode(encoded, pointer)
        return encoded


def codec_of(annotation: Any) -> Codec:
    """The codec of an annotation. Raises `ConfigError` for a type that cannot become JSON."""
    simple = _SIMPLE.get(annotation)
    if simple is not None:
        return simple
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return codec_of(get_args(annotation)[0])
    if origin is Literal:
        return _literal(get_args(annotation))
    if origin in (Union, types.UnionType):
        return _union(annotation)
    if origin in (list, collections.abc.Sequence):
        return _array(codec_of(get_args(annotation)[0]), list)
    if origin is tuple:
        return _tuple(get_args(annotation))
    if origin in (dict, collections.abc.Mapping):
        return _object(*get_args(annotation))
    if isinstance(annotation, type):
        made = _of_class(typing.cast("type[Any]", annotation))
        if made is not None:
            return made
    raise ConfigError(f"values of the type {_name(annotation)} cannot be written as JSON")


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _of_class(annotation: type[Any]) -> Codec | None:
    if issubclass(annotation, enum.Enum):
        return _enum(annotation)
    pydantic, msgspec = sys.modules.get("pydantic"), sys.modules.get("msgspec")
    if pydantic is not None and issubclass(annotation, pydantic.BaseModel):
        return _pydantic(annotation, pydantic)
    if msgspec is not None and issubclass(annotation, msgspec.Struct):
        return _msgspec(annotation, msgspec)
    if dataclasses.is_dataclass(annotation):
        return _dataclass(annotation)
    if typing.is_typeddict(annotation):
        return _typed_dict(annotation)
    return None


def _same(value: Any, pointer: str) -> Any:
    del pointer
    return value


def _only(kind: type, name: str) -> Codec:
    """A type of JSON. `bool` is no number."""

    def check(value: Any, pointer: str) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise PayloadError(pointer, f"must be {name}, not {type(value).__name__}")
        return value

    return Codec(check, check)


def _float(value: Any, pointer: str) -> float | int:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PayloadError(pointer, f"must be a number, not {type(value).__name__}")
    if isinstance(value, float) and not math.isfinite(value):
        raise PayloadError(pointer, f"is {value}, which JSON does not have")
    return value


def _none(value: Any, pointer: str) -> None:
    if value is not None:
        raise PayloadError(pointer, f"must be null, not {type(value).__name__}")


def _any_json(value: Any, pointer: str) -> Any:
    """Any JSON. Tuples become arrays."""
    many: Any = value
    if isinstance(value, (list, tuple)):
        return [_any_json(one, f"{pointer}/{nth}") for nth, one in enumerate(many)]
    if isinstance(value, dict):
        return {_key(key, pointer): _any_json(one, f"{pointer}/{key}") for key, one in many.items()}
    if isinstance(value, float):
        return _float(value, pointer)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise PayloadError(pointer, f"a {type(value).__name__} cannot be written as JSON")


def _pairs(value: Any) -> list[tuple[Any, Any]]:
    return list(value.items())


def _key(key: Any, pointer: str) -> str:
    if not isinstance(key, str):
        raise PayloadError(pointer, f"the key {key!r} must be a string")
    return key


def _text_form(kind: type, name: str, write: Callable[[Any], str], read: Callable[[str], Any]) -> Codec:
    """A type that is a string in JSON."""

    def encode(value: Any, pointer: str) -> str:
        # A datetime is a date for Python.
        if not isinstance(value, kind) or (kind is datetime.date and isinstance(value, datetime.datetime)):
            raise PayloadError(pointer, f"must be {name}, not {type(value).__name__}")
        return write(value)

    def decode(value: Any, pointer: str) -> Any:
        if not isinstance(value, str):
            raise PayloadError(pointer, f"must be {name} as a string, not {type(value).__name__}")
        try:
            return read(value)
        except ValueError as error:
            raise PayloadError(pointer, f"must be {name}: {error}") from error

    return Codec(encode, decode)


def _literal(values: tuple[Any, ...]) -> Codec:
    def check(value: Any, pointer: str) -> Any:
        if any(value == one and type(value) is type(one) for one in values):
            return value
        raise PayloadError(pointer, f"must be one of {', '.join(map(repr, values))}")

    return Codec(check, check)


def _enum(kind: type[enum.Enum]) -> Codec:
    def encode(value: Any, pointer: str) -> Any:
        if not isinstance(value, kind):
            raise PayloadError(pointer, f"must be a {kind.__name__}, not {type(value).__name__}")
        return value.value

    def decode(value: Any, pointer: str) -> Any:
        try:
            return kind(value)
        except ValueError as error:
            raise PayloadError(pointer, str(error)) from error

    return Codec(encode, decode)


def _union(annotation: Any) -> Codec:
    codecs = [codec_of(one) for one in get_args(annotation)]

    def first(turns: list[Turn]) -> Turn:
        def turn(value: Any, pointer: str) -> Any:
            problems: list[str] = []
            for one in turns:
                try:
                    return one(value, pointer)
                except PayloadError as error:
                    problems.append(str(error))
            raise PayloadError(pointer, f"is of no type of {annotation}: {'; '.join(problems)}")

        return turn

    return Codec(first([codec.encode for codec in codecs]), first([codec.decode for codec in codecs]))


def _array(item: Codec, kind: Callable[[Any], Any]) -> Codec:
    def each(turn: Turn) -> Turn:
        def whole(value: Any, pointer: str) -> Any:
            if not isinstance(value, (list, tuple)):
                raise PayloadError(pointer, f"must be an array, not {type(value).__name__}")
            items = typing.cast("list[Any]", value)
            return [turn(one, f"{pointer}/{nth}") for nth, one in enumerate(items)]

        return whole

    decode = each(item.decode)
    return Codec(each(item.encode), lambda value, pointer: kind(decode(value, pointer)))


def _tuple(items: tuple[Any, ...]) -> Codec:
    if len(items) == 2 and items[1] is Ellipsis:
        return _array(codec_of(items[0]), tuple)
    codecs = [codec_of(item) for item in items]

    def each(turns: list[Turn]) -> Turn:
        def whole(value: Any, pointer: str) -> Any:
            if not isinstance(value, (list, tuple)) or len(typing.cast("list[Any]", value)) != len(turns):
                raise PayloadError(pointer, f"must be an array of {len(turns)} values")
            values = typing.cast("list[Any]", value)
            return [turn(one, f"{pointer}/{nth}") for nth, (turn, one) in enumerate(zip(turns, values))]

        return whole

    decode = each([codec.decode for codec in codecs])
    return Codec(each([codec.encode for codec in codecs]), lambda value, pointer: tuple(decode(value, pointer)))


def _object(key: Any, item: Any) -> Codec:
    if key is not str:
        raise ConfigError("the keys of an object are strings in JSON: use dict[str, …]")
    codec = codec_of(item)

    def each(turn: Turn) -> Turn:
        def whole(value: Any, pointer: str) -> Any:
            if not isinstance(value, Mapping):
                raise PayloadError(pointer, f"must be an object, not {type(value).__name__}")
            items = _pairs(value)
            return {_key(name, pointer): turn(one, f"{pointer}/{name}") for name, one in items}

        return whole

    return Codec(each(codec.encode), each(codec.decode))


@dataclass(frozen=True)
class Field:
    """A named value of an object."""

    codec: Codec
    is_required: bool


def decode_fields(fields: Mapping[str, Field], value: Any, pointer: str) -> dict[str, Any]:
    """The named values of an object. Every field must be known and have its type, and no required field may be
    missing.
    """
    if not isinstance(value, dict):
        raise PayloadError(pointer, f"must be an object, not {type(value).__name__}")
    given = typing.cast("dict[str, Any]", value)
    for name in given:
        if name not in fields:
            raise PayloadError(f"{pointer}/{name}", "there is no such field")
    for name, field in fields.items():
        if field.is_required and name not in given:
            raise PayloadError(f"{pointer}/{name}", "is missing")
    return {name: fields[name].codec.decode(one, f"{pointer}/{name}") for name, one in given.items()}


def _dataclass(kind: Any) -> Codec:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {
        field.name: Field(
            codec_of(hints[field.name]),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
        if field.init
    }

    def encode(value: Any, pointer: str) -> Any:
        if type(value) is not kind:
            raise PayloadError(pointer, f"must be a {kind.__name__}, not {type(value).__name__}")
        return {name: field.codec.encode(getattr(value, name), f"{pointer}/{name}") for name, field in fields.items()}

    def decode(value: Any, pointer: str) -> Any:
        values = decode_fields(fields, value, pointer)
        try:
            return kind(**values)
        except (TypeError, ValueError) as error:
            raise PayloadError(pointer, str(error)) from error

    return Codec(encode, decode, is_record=True)


def _typed_dict(kind: Any) -> Codec:
    hints = typing.get_type_hints(kind)
    fields = {name: Field(codec_of(hint), name in kind.__required_keys__) for name, hint in hints.items()}

    def encode(value: Any, pointer: str) -> Any:
        if not isinstance(value, dict):
            raise PayloadError(pointer, f"must be an object, not {type(value).__name__}")
        given = typing.cast("dict[str, Any]", value)
        for name in given:
            if name not in fields:
                raise PayloadError(f"{pointer}/{name}", "there is no such field")
        return {name: fields[name].codec.encode(one, f"{pointer}/{name}") for name, one in given.items()}

    return Codec(encode, lambda value, pointer: decode_fields(fields, value, pointer), is_record=True)


def _pydantic(kind: Any, pydantic: Any) -> Codec:
    def encode(value: Any, pointer: str) -> Any:
        if not isinstance(value, kind):
            raise PayloadError(pointer, f"must be a {kind.__name__}, not {type(value).__name__}")
        return value.model_dump(mode="json", by_alias=True)

    def decode(value: Any, pointer: str) -> Any:
        try:
            return kind.model_validate_json(json.dumps(value), strict=True)
        except pydantic.ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = "".join(f"/{part}" for part in first["loc"])
            raise PayloadError(pointer + where, str(first["msg"])) from error

    return Codec(encode, decode, is_record=True)


def _msgspec(kind: Any, msgspec: Any) -> Codec:
    def encode(value: Any, pointer: str) -> Any:
        if not isinstance(value, kind):
            raise PayloadError(pointer, f"must be a {kind.__name__}, not {type(value).__name__}")
        return msgspec.to_builtins(value)

    def decode(value: Any, pointer: str) -> Any:
        try:
            return msgspec.convert(value, type=kind, strict=True)
        except msgspec.ValidationError as error:
            raise PayloadError(pointer, str(error)) from error

    return Codec(encode, decode, is_record=True)


def _aware(value: datetime.datetime) -> str:
    if value.tzinfo is None:
        raise PayloadError("", f"the time {value} has no time zone")
    return value.isoformat()


_ANY: Final = Codec(_any_json, _same)
_OBJECT: Final = _only(dict, "an object")
_NONE: Final = Codec(_none, _none)
_SIMPLE: Final[dict[Any, Codec]] = {
    Any: _ANY,
    object: _ANY,
    None: _NONE,
    type(None): _NONE,
    bool: _only(bool, "true or false"),
    int: _only(int, "a whole number"),
    str: _only(str, "a string"),
    float: Codec(_float, _float),
    list: _array(_ANY, list),
    dict: Codec(lambda value, pointer: _any_json(_OBJECT.encode(value, pointer), pointer), _OBJECT.decode),
    uuid.UUID: _text_form(uuid.UUID, "a UUID", str, uuid.UUID),
    datetime.date: _text_form(datetime.date, "a date", datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.datetime: _text_form(datetime.datetime, "a time with a time zone", _aware, time_of),
}
