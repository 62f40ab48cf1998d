"""What classes take, read from their source without importing it.

A mistake in a config should be said at once, and importing torch and Lightning takes many seconds. Most of
what they would say stands in the signatures of the classes that a config names, and Python's own parser
reads those in a hundredth of a second a file.

What cannot be told from the source is left open (``None``, or ``is_complete`` false), and the parser of the
command decides it later.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from pathlib import Path

PASSED_ON = {"self", "cls"}


@dataclass(frozen=True, eq=False)
class Source:
    """A module that was parsed and not imported."""

    name: str
    path: Path

    @cached_property
    def statements(self) -> list[ast.stmt]:
        """The statements of the module, also those under an ``if`` or ``try``."""
        try:
            tree = ast.parse(self.path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            return []
        return list(_unconditional(tree.body))

    @cached_property
    def exported(self) -> dict[str, str]:
        """The names that a package imports on first use (`lazy_loader.attach`), with their submodules."""
        calls = (node for node in self.statements if isinstance(node, ast.Assign))
        attached = (
            word.value
            for node in calls
            if isinstance(node.value, ast.Call)
            for word in node.value.keywords
            if word.arg == "submod_attrs"
        )
        tables = [ast.literal_eval(table) for table in attached]
        return {name: module for table in tables for module, names in table.items() for name in names}

    @property
    def says_all_names(self) -> bool:
        """Whether a name that is not in `names` cannot be imported from this module."""
        makes_names = {"__getattr__"} - ({"__getattr__"} if self.exported else set())
        return not {"*", *makes_names} & self.names()

    @property
    def package(self) -> str:
        """The package that relative imports begin from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def names(self) -> set[str]:
        """The classes and functions that can be imported from this module."""
        defined = {node.name for node in self.statements if isinstance(node, ast.ClassDef | ast.FunctionDef)}
        imported = {
            alias.asname or alias.name
            for node in self.statements
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        return defined | imported | self.exported.keys()


@dataclass(frozen=True)
class Definition:
    """What a name stands for: a class, a function or the alias of a type."""

    source: Source
    """Where the names in it are found."""
    node: ast.ClassDef | ast.FunctionDef | ast.expr


@dataclass(frozen=True)
class Parameter:
    """One parameter of a class or function."""

    annotation: ast.expr | None
    source: Source
    """Where the names in the annotation are found."""


@dataclass(frozen=True)
class Signature:
    """The parameters of a class, those of its base classes included."""

    parameters: dict[str, Parameter] = field(default_factory=dict)
    is_complete: bool = True
    """Whether there can be no others."""

    def __or__(self, other: Signature) -> Signature:
        return Signature(other.parameters | self.parameters, self.is_complete and other.is_complete)


@cache
def source_of(module: str) -> Source | None:
    """The source of a module by its dotted name; ``None`` where there is no such Python file."""
    locations: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for n_parts in range(1, len(parts) + 1):
        name = ".".join(parts[:n_parts])
        # With the folders given, this looks for a file and imports no package above it.
        spec = find_spec(name) if locations is None else PathFinder.find_spec(name, locations)
        if spec is None:
            return None
        locations = list(spec.submodule_search_locations or ())
    return Source(module, Path(spec.origin)) if spec and spec.origin and spec.has_location else None


def find(path: str) -> Definition | None:
    """What a dotted path such as ``datamodules.PairedDataModule`` stands for."""
    module, _, name = path.rpartition(".")
    source = source_of(module) if module else None
    return None if source is None else look_up(name, source)


def look_up(name: str, source: Source, seen: frozenset[tuple[str, str]] = frozenset()) -> Definition | None:
    """What a name stands for in a module, followed through its imports."""
    if (source.name, name) in seen:
        return None
    seen |= {(source.name, name)}
    for node in source.statements:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return Definition(source, node)
        if isinstance(node, ast.Assign) and name in {t.id for t in node.targets if isinstance(t, ast.Name)}:
            return Definition(source, node.value)
    for module, imported in _imports_of(name, source):
        target = source_of(module)
        found = look_up(imported, target, seen) if target is not None else None
        if found is not None:
            return found
    return None


def signature_of(definition: Definition) -> Signature:
    """The parameters that a class or function is called with."""
    node, source = definition.node, definition.source
    if isinstance(node, ast.FunctionDef):
        return of_function(node, source)
    if not isinstance(node, ast.ClassDef):
        return Signature(is_complete=False)
    if _is_record(node):
        return _fields(node, source) | _of_bases(node, source)
    init = method(node, "__init__")
    if init is None:
        return _of_bases(node, source)
    own = of_function(init, source)
    return own if own.is_complete else Signature(own.parameters) | _of_bases(node, source)


def of_function(node: ast.FunctionDef, source: Source) -> Signature:
    """The parameters of a function; it is complete unless it passes on what it is given by name."""
    named = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    parameters = {arg.arg: Parameter(arg.annotation, source) for arg in named if arg.arg not in PASSED_ON}
    return Signature(parameters, is_complete=node.args.kwarg is None)


def method(node: ast.ClassDef, name: str) -> ast.FunctionDef | None:
    """The method of this name that stands in the class itself."""
    return next((part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == name), None)


def dotted(node: ast.expr) -> str:
    """The name that an expression such as ``nn.Module`` or ``Generic[T]`` begins with."""
    if isinstance(node, ast.Subscript):
        return dotted(node.value)
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def look_up_dotted(name: str, source: Source) -> Definition | None:
    """What ``Module`` or ``nn.Module`` stands for in a module."""
    first, _, rest = name.partition(".")
    if not rest:
        return look_up(first, source)
    for module, imported in _imports_of(first, source):
        found = find(f"{module}.{imported}.{rest}" if imported else f"{module}.{rest}")
        if found is not None:
            return found
    return None


def is_record(definition: Definition) -> bool:
    """Whether a definition is a dataclass or a named tuple, whose fields are its parameters."""
    return isinstance(definition.node, ast.ClassDef) and _is_record(definition.node)


def _unconditional(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _unconditional([*node.body, *node.orelse])


def _imports_of(name: str, source: Source) -> Iterator[tuple[str, str]]:
    """The modules that ``name`` may be imported from, and its name there; no name is the module itself."""
    if name in source.exported:
        yield f"{source.name}.{source.exported[name]}", name
    for node in source.statements:
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names if (alias.asname or alias.name) == name)
        elif isinstance(node, ast.ImportFrom):
            module = _module_named(node, source)
            for alias in node.names:
                if (alias.asname or alias.name) == name or alias.name == "*":
                    yield module, name if alias.name == "*" else alias.name


def _module_named(node: ast.ImportFrom, source: Source) -> str:
    if not node.level:
        return node.module or ""
    above = source.package.split(".")[: len(source.package.split(".")) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def _of_bases(node: ast.ClassDef, source: Source) -> Signature:
    together = Signature()
    for base in node.bases:
        name = dotted(base)
        definition = look_up_dotted(name, source)
        if definition is not None:
            together |= signature_of(definition)
        elif name != "object":
            together |= Signature(is_complete=False)
    return together


def _is_record(node: ast.ClassDef) -> bool:
    decorators = (part.func if isinstance(part, ast.Call) else part for part in node.decorator_list)
    return any(dotted(part).endswith("dataclass") for part in decorators) or any(
        dotted(base) == "NamedTuple" for base in node.bases
    )


def _fields(node: ast.ClassDef, source: Source) -> Signature:
    return Signature(
        {
            part.target.id: Parameter(part.annotation, source)
            for part in node.body
            if isinstance(part, ast.AnnAssign)
            and isinstance(part.target, ast.Name)
            and dotted(part.annotation).rpartition(".")[2] != "ClassVar"
        }
    )
