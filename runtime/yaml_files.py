"""YAML files of users: read safely, and refused with one sentence that names the file and the place."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from runtime.errors import UserError

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
MOST_NODES = 100_000
"""A file may say this much after its aliases are written out; a few lines of nested aliases say billions."""


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds, empty for an empty file.

    Raises:
        UserError: the file is missing, no text, no valid YAML, no mapping, has a key twice, refers to itself,
            or says more than `MOST_NODES`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is no text in UTF-8 (byte {error.start} is none), so it is no YAML file."
        ) from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None
    try:
        node = yaml.compose(text, Loader=LOADER)
        if node is None:
            return {}
        if not isinstance(node, yaml.MappingNode):
            raise UserError(f"{path} is no mapping of keys to values; write `key: value` on its first level.")
        _size(node, path, {})
        content: dict[str, Any] = yaml.load(text, Loader=LOADER)
    except RecursionError:
        raise UserError(f"{path} is nested too deeply.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {_reason(error)}.") from None
    return content


def _size(node: yaml.Node, path: Path, known: dict[int, int]) -> int:
    """Nodes of a tree with its aliases written out; raises `UserError` for what no config says."""
    if id(node) in known:
        if not known[id(node)]:
            raise UserError(f"{path} refers to itself{_place(node)}.")
        return known[id(node)]
    known[id(node)] = 0  # until its parts are counted
    parts: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _require_unique_keys(node, path)
        parts = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        parts = node.value
    size = 1 + sum(_size(part, path, known) for part in parts)
    if size > MOST_NODES:
        raise UserError(f"{path} says more than {MOST_NODES} values with its aliases written out.")
    known[id(node)] = size
    return size


def _require_unique_keys(node: yaml.MappingNode, path: Path) -> None:
    keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
    for key, count in keys.items():
        if count > 1:
            raise UserError(f"{path} has the key '{key}' {count} times{_place(node)}; keep one.")


def _place(node: yaml.Node) -> str:
    return f" (line {node.start_mark.line + 1})" if node.start_mark else ""


def _reason(error: yaml.YAMLError) -> str:
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    mark = getattr(error, "problem_mark", None)
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else str(problem)
