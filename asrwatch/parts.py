"""Find parts (engines, formats, storages) by the name of their file, importing only what is asked for."""

import importlib
import inspect
import pkgutil
from functools import cache
from types import ModuleType
from typing import TypeVar

from asrwatch.errors import OurBug

__all__ = ["find", "names"]

PartT = TypeVar("PartT")


@cache
def names(package: ModuleType) -> tuple[str, ...]:
    """The names of all parts in a package: their files' names with dashes, sorted."""
    modules = pkgutil.iter_modules(package.__path__)
    return tuple(
        sorted(
            module.name.replace("_", "-") for module in modules if not module.name.startswith("_")
        )
    )


def find(package: ModuleType, base: type[PartT], name: str) -> type[PartT]:
    """The one class of `package` that the part called `name` consists of.

    Raises:
        KeyError: there is no such part; `names` says which there are.
    """
    if name not in names(package):
        raise KeyError(name)
    module = importlib.import_module(f"{package.__name__}.{name.replace('-', '_')}")
    classes = [
        member
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, base)
        and member.__module__ == module.__name__
        and not inspect.isabstract(member)
    ]
    if len(classes) != 1:
        msg = f"{module.__name__} must hold exactly one {base.__name__}, it holds {len(classes)}"
        raise OurBug(msg)
    return classes[0]
