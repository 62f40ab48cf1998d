"""Turn jsonargparse's nested reports into one sentence that names the key and the nearest right one."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator

from runtime.errors import nearest

UNKNOWN_KEY = re.compile(
    r"(?:Option|accept option) '(?P<key>[^']+)'|unrecognized arguments: --(?P<flag>[\w.]+)"
)
BAD_CLASS = re.compile(r"Problem with given class_path '(?P<path>[^']+)':\s*(?P<reason>.+)")
BAD_VALUE = re.compile(r"(?:Parser )?[Kk]ey \"(?P<key>[\w.]+)\":\s*(?P<reason>Expected [^\n]+)")
UNION_NOISE = re.compile(r"^\s*- Expected a <class 'NoneType'>.*$", re.MULTILINE)


def explain(message: str, class_paths: Iterable[str], keys: Iterable[str]) -> str:
    """One sentence for a parser's report.

    Args:
        message: what jsonargparse says, usually over several lines.
        class_paths: the classes that the configuration names; their parameters are candidate keys.
        keys: every key of the parser itself.
    """
    message = UNION_NOISE.sub("", message)
    if found := UNKNOWN_KEY.search(message):
        return _unknown_key(found["key"] or found["flag"], list(keys), parameters(class_paths))
    if found := BAD_CLASS.search(message):
        path = found["path"]
        return f"The class_path '{path}' cannot be used: {_flat(found['reason'])}.{_near_class(path)}"
    if found := BAD_VALUE.search(message):
        return f"The value of '{found['key']}' is wrong: {_flat(found['reason'])}."
    return f"The configuration is wrong: {_flat(message)}."


def parameters(class_paths: Iterable[str]) -> set[str]:
    """Names of all parameters of the classes named, base classes included."""
    return {name for path in class_paths for name in _parameters_of(path)}


def _unknown_key(key: str, keys: list[str], params: set[str]) -> str:
    first, last = key.partition(".")[0], key.rpartition(".")[2]
    top = {name.partition(".")[0] for name in keys}
    leaves = {name.rpartition(".")[2] for name in keys} | params
    # "modle.class_path" is wrong in its first part, "model.widht" in its last, "widht" anywhere.
    wrong_at_the_top = "." in key and first not in top
    suggestion = nearest(first, top) if wrong_at_the_top else nearest(last, leaves | top)
    return f"The configuration key '{key}' does not exist.{suggestion}"


def _parameters_of(path: str) -> Iterator[str]:
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        return
    for base in inspect.getmro(found) if isinstance(found, type) else ():
        yield from inspect.signature(vars(base).get("__init__", object.__init__)).parameters


def _near_class(path: str) -> str:
    module, _, name = path.rpartition(".")
    try:
        found = importlib.import_module(module)
    except (ImportError, ValueError):
        return ""
    # `dir` and not `vars`: a package that imports what it exports on first use lists it there only.
    return nearest(name, (known for known in dir(found) if isinstance(getattr(found, known, None), type)))


def _flat(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip(" .")
