"""Compiled inner loops: one decorator, so that the rest of the room does not know numba.

A kernel is a plain function over numbers and arrays. Where numba can be imported it is compiled at
its first call and kept on disk; elsewhere (a Python that numba does not know yet) the same function
runs interpreted: right, and slower.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

njit: Any = None
with suppress(ImportError):
    from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])

COMPILED: bool = njit is not None
"""Whether kernels are compiled on this machine."""


def kernel(function: _Function) -> _Function:
    """Compile a function of numbers and arrays; it is the same to its caller."""
    if njit is None:
        return function
    return cast("_Function", njit(cache=True, nogil=True)(function))
