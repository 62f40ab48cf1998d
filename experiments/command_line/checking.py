"""Mistakes in a config that its files and the source of the suite tell, said before anything is imported.

Keys are compared with the parameters of the classes that a config names, values with their types and ranges
(`signatures`). What cannot be told this way passes here, and the parser and the classes have the last word.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from experiments.command_line import keys
from experiments.command_line.keys import Wanted, within
from experiments.command_line.resolver import ResolvedConfig, merged
from experiments.command_line.signatures import (
    Definition,
    Parameter,
    Signature,
    Source,
    dotted,
    find,
    is_record,
    look_up_dotted,
    method,
    of_function,
    signature_of,
    source_of,
)
from runtime import ranges
from runtime.arguments import Number
from runtime.errors import UserError, nearest

DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
RESERVED = ("class_path", "init_args", "dict_kwargs", "help")
LISTS = ("list", "List", "Sequence", "Iterable", "tuple", "Tuple")
MAPPINGS = ("dict", "Dict", "Mapping")


def check(resolved: ResolvedConfig, sections: Mapping[str, str] = keys.SECTIONS) -> None:
    """Refuse a config for the first mistake in it.

    Args:
        resolved: layers and options.
        sections: classes whose parameters stand below a key of the first level.

    Raises:
        UserError: an unknown key, a class that is not there, a value of another type or out of its range.
    """
    _require_pairs(resolved.options)
    known = _first_level()
    before: dict[str, Any] = {}
    for layer in resolved.every_layer:
        after = merged([before, layer])
        for key, value in layer.items():
            name = key.removesuffix("+")
            if name in sections:
                _check_arguments(_signature(sections[name]), value, name, before.get(name))
            elif name in known:
                _check_value(value, known[name], name, before.get(name))
            else:
                raise _unknown_key(name, "", [*known, *sections], after)
        before = after
    if resolved.experiment and not keys.NAME.fits(resolved.experiment):
        raise UserError(f"Runs are filed under the configs' names; {shown(resolved.experiment)} is no name.")
    for name in keys.OBJECTS:
        if resolved.experiment and not isinstance(before.get(name), str | Mapping):
            raise UserError(f"The config has no {name}: say its class in the key {name}.class_path.")


def _require_pairs(options: Sequence[str]) -> None:
    """Refuse a word that is neither an option nor the value of one."""
    is_value = False
    for option in options:
        if not option.startswith("--") and not is_value:
            raise UserError(f"'{option}' belongs to no option; options are written --KEY VALUE.")
        is_value = option.startswith("--") and "=" not in option


def _first_level() -> dict[str, Parameter | Wanted | None]:
    """Every key of the first level but sections, with what its value may be."""
    trainer = find(keys.TRAINER)
    known: dict[str, Parameter | Wanted | None] = dict.fromkeys([*keys.OBJECTS, *keys.OF_THE_PARSER])
    known["seed_everything"] = keys.SEED
    known |= _signature(f"{keys.RunOptions.__module__}.{keys.RunOptions.__name__}").parameters
    known |= {"experiment": keys.NAME, "run_name": keys.NAME}
    if trainer is None or not isinstance(trainer.node, ast.ClassDef):
        return known
    for subcommand in keys.SUBCOMMANDS:
        if (found := method(trainer.node, subcommand)) is not None:
            taken = of_function(found, trainer.source).parameters
            known |= {name: taken[name] for name in taken.keys() - keys.NOT_KEYS}
    return known


def _signature(path: str) -> Signature:
    """The parameters of a class, with the ranges that other packages do not write in their signatures."""
    definition = find(path)
    if definition is None:
        return Signature(is_complete=False)
    signature = signature_of(definition)
    own: Mapping[str, Wanted] = {}
    if path == keys.TRAINER:
        own = keys.TRAINER_RANGES
    elif definition.source.name.startswith("torch.optim."):
        own = keys.OPTIMIZER_RANGES
    parameters: dict[str, Any] = {**signature.parameters, **own}
    return Signature(parameters, signature.is_complete)


def _check_arguments(signature: Signature, given: Any, name: str, before: Any) -> None:
    """Check the mapping of arguments below the key ``name``."""
    if not isinstance(given, Mapping):
        if given is None:
            return
        raise UserError(f"{name} must be a mapping of keys to values, not {shown(given)}.")
    for key, value in given.items():
        argument = str(key).removesuffix("+")
        if argument in signature.parameters:
            was = before.get(argument) if isinstance(before, Mapping) else None
            _check_value(value, signature.parameters[argument], f"{name}.{argument}", was)
        elif signature.is_complete and argument not in RESERVED:
            raise _unknown_key(argument, name, signature.parameters, {})


def _check_value(value: Any, parameter: Parameter | Wanted | None, name: str, before: Any) -> None:
    for item in value if isinstance(value, list) else [value]:
        if (path := _class_path(item, before)) is not None:
            _check_object(path, item, name, before)
    if isinstance(value, Mapping) and _class_path(value, before) is not None:
        return
    if isinstance(parameter, Wanted):
        wanted = "" if value is None or parameter.fits(value) else parameter.words
    else:
        wanted = "" if parameter is None else _mismatch(value, parameter.annotation, parameter.source, name)
    if wanted:
        raise UserError(f"{name} must be {wanted}, not {shown(value)}.")


def _check_object(path: str, value: Any, name: str, before: Any) -> None:
    """Check the class that a config names and the arguments it gives."""
    definition = find(path)
    if definition is None:
        _require_unreadable(path, name)
    if definition is None or not isinstance(value, Mapping):
        return
    same = isinstance(before, Mapping) and _class_path(before, None) == path
    given = value["init_args"] if "init_args" in value else without_reserved(value)
    was = before.get("init_args") if same else None
    inner = f"{name}.init_args" if "init_args" in value else name
    _check_arguments(_signature(path), given, inner, was)


def _require_unreadable(path: str, name: str) -> None:
    """Refuse a class that is certainly not there: its module can be read and does not have it."""
    module, _, wanted = path.rpartition(".")
    source = source_of(module)
    if source is None:
        raise UserError(f"{name} names the class {path}, but there is no module '{module}'.")
    if source.statements and source.says_all_names:
        raise UserError(
            f"{name} names the class {path}, but {module} has none of this name."
            f"{nearest(wanted, source.names())}"
        )


def _mismatch(value: Any, node: ast.expr | None, source: Source, name: str) -> str:
    """What a value must be, to follow "must be"; empty where it fits or where that cannot be told."""
    alternatives = list(_alternatives(node, source))
    wanted = [_must_be(value, part, where, name) for part, where in alternatives]
    choices = [choice for part, _ in alternatives for choice in _choices(part)]
    if "" in wanted or (choices and str(value) in map(str, choices)):
        return ""
    named = [words for words in dict.fromkeys(wanted) if words not in (NULL, CHOICE)]
    if choices:
        named.append(f"one of {', '.join(dict.fromkeys(map(str, choices)))}")
    return " or ".join(named)


def _alternatives(node: ast.expr | None, source: Source) -> Iterator[tuple[ast.expr, Source]]:
    """The parts of a union, and what aliases of types stand for."""
    parts: list[ast.expr] = []
    if isinstance(node, ast.BinOp):
        parts = [node.left, node.right]
    elif isinstance(node, ast.Subscript) and _leaf(node) in ("Union", "Optional"):
        parts = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        parts += [ast.Constant(None)] if _leaf(node) == "Optional" else []
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        parts = [ast.parse(node.value, mode="eval").body]
    if parts:
        for part in parts:
            yield from _alternatives(part, source)
        return
    alias = _alias(node, source)
    if alias is not None:
        yield from _alternatives(*alias)
    elif node is not None:
        yield node, source


def _alias(node: ast.expr | None, source: Source) -> tuple[ast.expr, Source] | None:
    if not isinstance(node, ast.Name) or node.id in SCALARS or _range(node) is not None:
        return None
    found = look_up_dotted(node.id, source)
    return (found.node, found.source) if found is not None and isinstance(found.node, ast.expr) else None


def _must_be(value: Any, node: ast.expr, source: Source, name: str) -> str:
    leaf = _leaf(node)
    if isinstance(node, ast.Constant):
        return "" if value is None else NULL
    if isinstance(node, ast.Subscript):
        return _must_be_of(leaf, value, node, source, name)
    plain = _range(node) or (SCALARS.get(leaf) if value is not None else None)
    if plain is not None:
        return "" if plain.fits(value) else plain.words
    if value is None:
        return ""  # whether null is meant by a default is the parser's to say
    definition = look_up_dotted(dotted(node), source)
    if definition is None or not isinstance(definition.node, ast.ClassDef):
        return ""
    return _must_be_made(value, definition, name)


def _must_be_of(kind: str, value: Any, node: ast.Subscript, source: Source, name: str) -> str:
    """What must be a value of ``Literal[…]``, ``list[…]`` and the like."""
    inside = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if kind == "Literal":
        return CHOICE
    if kind in MAPPINGS:
        return "" if value is None or isinstance(value, Mapping) else "a mapping of keys to values"
    if kind not in LISTS or value is None:
        return ""
    if not isinstance(value, list | tuple):
        return f"a list, such as [{value}]"
    wanted = {_mismatch(item, inside[0], source, name) for item in value} - {""}
    return f"a list, each part {' or '.join(sorted(wanted))}" if wanted else ""


def _must_be_made(value: Any, definition: Definition, name: str) -> str:
    if isinstance(value, Mapping):
        if is_record(definition):
            _check_arguments(signature_of(definition), value, name, None)
        return ""
    return "" if isinstance(value, str) else "a class_path with its init_args"


def _choices(node: ast.expr) -> list[Any]:
    """The values of a ``Literal[…]``."""
    if not isinstance(node, ast.Subscript) or _leaf(node) != "Literal":
        return []
    inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return [part.value for part in inside if isinstance(part, ast.Constant)]


def _range(node: ast.expr | None) -> Wanted | None:
    """The range of a type in `runtime.ranges`."""
    described = getattr(ranges, node.id, None) if isinstance(node, ast.Name) else None
    return next((within(part) for part in get_args(described) if isinstance(part, Number)), None)


FINITE = within(Number(float, "a finite number", lambda value: True))
NULL, CHOICE = "null", "one of the choices"
SCALARS = {
    "bool": Wanted("true or false", lambda value: isinstance(value, bool) or value in ("true", "false")),
    "int": Wanted(
        "a whole number",
        lambda value: not isinstance(value, bool) and FINITE.fits(value) and float(value).is_integer(),
    ),
    "float": FINITE,
    "str": Wanted("a text", lambda value: not isinstance(value, list | Mapping)),
}
"""Types of Python, and what their values are in a config."""


def _class_path(value: Any, before: Any) -> str | None:
    """The class that a value names, or that was named for the key before."""
    if isinstance(value, str):
        is_class = DOTTED_NAME.fullmatch(value) and not value.endswith((".yaml", ".yml", ".json"))
        return value if is_class and value.rpartition(".")[2][:1].isupper() else None
    if not isinstance(value, Mapping):
        return None
    path = value.get("class_path") or (before.get("class_path") if isinstance(before, Mapping) else before)
    return path if isinstance(path, str) and "." in path else None


def without_reserved(value: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that stand beside ``class_path``, where a command line leaves ``init_args`` out."""
    return {key: part for key, part in value.items() if key not in RESERVED}


def _unknown_key(key: str, below: str, known: Any, config: Mapping[str, Any]) -> UserError:
    place = f" in {below}" if below else ""
    elsewhere = [name for name in _leaves(config) if name.rpartition(".")[2] == key]
    hint = f" Did you mean '{elsewhere[0]}'?" if elsewhere else nearest(key, map(str, known))
    return UserError(f"There is no key '{key}'{place}.{hint}")


def _leaves(config: Mapping[str, Any]) -> Iterator[str]:
    """The dotted names of what trainer, data and model take."""
    yield from (f"trainer.{name}" for name in _signature(keys.TRAINER).parameters)
    for name in reversed(keys.OBJECTS):
        if (path := _class_path(config.get(name), None)) is not None:
            yield from (f"{name}.init_args.{argument}" for argument in _signature(path).parameters)


def _leaf(node: ast.expr) -> str:
    return dotted(node).rpartition(".")[2]


def shown(value: Any) -> str:
    """A value as YAML says it, shortened."""
    words = {None: "null", True: "true", False: "false"}
    text = words[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) < 60 else f"{text[:57]}…"
