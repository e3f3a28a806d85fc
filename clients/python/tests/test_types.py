"""What a type checker sees. mypy runs over this file: each `type: ignore` must be needed, or mypy fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from jobs_of_tests import Picture, add, add_async, resize

import leasehold

if TYPE_CHECKING:
    from typing_extensions import assert_type

    def what_a_type_checker_knows() -> None:
        assert_type(add.enqueue(1, right=2).result(), int)
        assert_type(add_async.enqueue(left=1).result(), int)
        assert_type(resize.options(priority=3).enqueue(Picture("a")), leasehold.Handle[Picture])
        assert_type(resize.new(Picture("a")), leasehold.NewJob)
        add.enqueue("1")  # type: ignore[arg-type]
        add.enqueue(1, middle=2)  # type: ignore[call-arg]
        add.enqueue()  # type: ignore[call-arg]
        resize.enqueue({"path": "a"})  # type: ignore[arg-type]


def test_the_same_is_refused_when_it_runs() -> None:
    with pytest.raises(leasehold.PayloadError):
        add.new("1")  # type: ignore[arg-type]
    with pytest.raises(leasehold.PayloadError):
        add.new(1, middle=2)  # type: ignore[call-arg]
    with pytest.raises(leasehold.PayloadError):
        resize.new({"path": "a"})  # type: ignore[arg-type]
