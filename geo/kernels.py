"""Compiled inner loops: one decorator, so that the rest of the room does not know numba.

A kernel is a plain function over numbers and arrays. Where numba can be imported it is compiled at
its first call and kept on disk; elsewhere (a Python that numba does not know yet) the same function
runs interpreted: right, and slower.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast

njit: Any = None
with suppress(ImportError):
    from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])

COMPILED: bool = njit is not None
"""Whether kernels are compiled on this machine."""


_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "cache": True,
        "nogil": True,
        # A division by zero gives infinity or nan, as numpy's: no kernel has to raise.
        "error_model": "numpy",
        # Arrays are the caller's for as long as a kernel runs; counting them in and out at every
        # call of an inner function took nine tenths of the search. A kernel makes none of its own.
        "_nrt": False,
    }
)


def kernel(function: _Function) -> _Function:
    """Compile a function of numbers and arrays; it is the same to its caller.

    It may write to its arrays and make none.
    """
    return function if njit is None else cast("_Function", njit(**_OPTIONS)(function))


def inlined(function: _Function) -> _Function:
    """Compile a step of a loop into each kernel that calls it."""
    if njit is None:
        return function
    return cast("_Function", njit(forceinline=True, **_OPTIONS)(function))
