"""The promises that the tree itself makes (docs/adding-an-architecture.md)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("experiments", "lightning_modules", "datamodules", "metrics", "callbacks", "sweeps")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
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
    "adversarial_training.py",
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
