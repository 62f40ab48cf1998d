"""The promises that the tree itself makes: floors, rooms, and where a file's test is found."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("sweeps", "experiments", "callbacks", "lightning_modules", "metrics", "datamodules", "runtime")
"""The packages from the top floor down; a module imports from its own floor and from those below it."""
LARGEST_ROOM = 15
SCENARIOS = {
    "test_callbacks": "what holds for every callback",
    "test_experiments": "an architecture's shipped configs",
    "test_training": "an architecture learns",
    "test_switches": "an architecture under accumulation, clipping, averaging, precision, compilation",
    "test_two_processes": "an architecture on two processes",
    "test_adding_an_architecture": "the page of that name",
    "test_resume": "kill and resume",
    "test_team_database": "a team's database",
    "test_two_hosts": "two machines",
    "test_outcome": "the outcome of a sweep",
    "test_workers": "several workers of one sweep",
    "test_postgres": "the tests' own server",
    "test_docs_library": "the code of docs/library.md",
    "test_train_sbatch": "docs/train.sbatch",
    "test_docs_commands": "the commands of README and docs",
    "test_docs_links": "what README and docs name",
    "test_structure": "this file",
}
"""Tests that are about more than one module."""
SOURCES = sorted(path for package in FLOORS for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
ARCHITECTURES = sorted(
    path
    for path in (ROOT / "lightning_modules").iterdir()
    if (path / "__init__.py").is_file() and path.name not in {"layers", "anchors"}
)
MAY_IMPORT_LIGHTNING = {
    "module.py",
    "transfer_module.py",
    "style_module.py",
    "statistics_module.py",
    "adversarial_module.py",
    "data_module.py",
    "anchors.py",
}
VAGUE_NAMES = {"utils.py", "util.py", "core.py", "helpers.py", "common.py", "misc.py"}


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, at any depth of indentation."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
    return names


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module_of(path: Path) -> str:
    """The dotted name by which a source file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(path: Path) -> set[str]:
    """The suite's own modules that a file imports, with names that are modules resolved."""
    known = {module_of(source) for source in SOURCES}
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (names & known) or {node.module}
    return found & known


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_point_down(path: Path) -> None:
    floor = FLOORS.index(module_of(path).partition(".")[0])
    upper = {name for name in imported_modules(path) if FLOORS.index(name.partition(".")[0]) < floor}
    assert not upper


def test_no_circle_of_imports() -> None:
    imports = {module_of(path): imported_modules(path) - {module_of(path)} for path in SOURCES}
    TopologicalSorter(imports).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("folder", sorted({path.parent for path in SOURCES}), ids=relative)
def test_a_room_is_small_enough_to_see_at_once(folder: Path) -> None:
    assert len({path.name for path in folder.glob("*.py")} - {"__init__.py"}) <= LARGEST_ROOM


@pytest.mark.parametrize("path", TESTS, ids=relative)
def test_a_test_is_found_by_the_path_of_what_it_tests(path: Path) -> None:
    folder = ROOT / path.parent.relative_to(ROOT / "tests")
    assert folder.is_dir()
    tested = folder / path.stem.removeprefix("test_")
    assert tested.is_dir() or tested.with_suffix(".py").is_file() or path.stem in SCENARIOS


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_only_modules_callbacks_and_entries_import_lightning(path: Path) -> None:
    if path.name in MAY_IMPORT_LIGHTNING or relative(path).startswith(
        ("callbacks/", "experiments/", "sweeps/")
    ):
        return
    assert not {name for name in imported(path) if name.split(".")[0] in {"lightning", "pytorch_lightning"}}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_file_with_a_vague_name(path: Path) -> None:
    assert path.name not in VAGUE_NAMES


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda path: path.name)
def test_every_architecture_has_the_same_files(architecture: Path) -> None:
    assert {"network.py", "losses.py", "module.py"} <= {path.name for path in architecture.iterdir()}


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda path: path.name)
def test_networks_know_no_losses_and_losses_no_network(architecture: Path) -> None:
    package = f"lightning_modules.{architecture.name}"
    assert f"{package}.losses" not in imported(architecture / "network.py")
    assert not {f"{package}.network", f"{package}.module"} & imported(architecture / "losses.py")


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_unsafe_loading(path: Path) -> None:
    assert not {"pickle", "dill", "joblib", "cloudpickle", "marshal"} & imported(path)
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = {node.func.id for node in calls if isinstance(node.func, ast.Name)}
    assert not {"eval", "exec"} & names
    for call in calls:
        arguments = {keyword.arg: keyword.value for keyword in call.keywords}
        if isinstance(call.func, ast.Attribute) and call.func.attr == "load" and "weights_only" in arguments:
            assert getattr(arguments["weights_only"], "value", None) is True
