"""What is read from source is what Python says of the imported classes."""

from __future__ import annotations

import inspect
import re

import pytest

from experiments.command_line.catalogue import CONFIGS
from experiments.command_line.cli import class_at
from experiments.command_line.keys import RANGE_TEST, SECTIONS
from experiments.command_line.signatures import find, signature_of, source_of
from tests.conftest import ROOT

NAMED = sorted(
    {
        path
        for file in CONFIGS.rglob("*.yaml")
        for path in re.findall(r"class_path: *([\w.]+)", file.read_text(encoding="utf-8"))
    }
    | set(SECTIONS.values())
    | set(RANGE_TEST.values())
)


def parameters_of(found: type) -> set[str]:
    """Names of the parameters, those included that a base class is given by ``**settings``."""
    names: set[str] = set()
    for base in inspect.getmro(found):
        own = inspect.signature(vars(base)["__init__"]).parameters if "__init__" in vars(base) else {}
        names |= {name for name, parameter in own.items() if parameter.kind.name[:3] != "VAR"}
        if own and not any(parameter.kind.name == "VAR_KEYWORD" for parameter in own.values()):
            break
    return names - {"self"}


@pytest.mark.parametrize("path", NAMED)
def test_the_parameters_are_those_of_the_class(path: str) -> None:
    definition = find(path)
    assert definition is not None
    signature = signature_of(definition)
    assert signature.is_complete
    assert set(signature.parameters) == parameters_of(class_at(path))


def test_names_are_followed_through_packages() -> None:
    for path in ("datamodules.PairedDataModule", "datamodules.data_module.PairedDataModule"):
        definition = find(path)
        assert definition is not None and definition.source.path == ROOT / "datamodules" / "data_module.py"


def test_what_is_not_there_is_none() -> None:
    assert find("datamodules.NoDataModule") is find("nowhere.Data") is find("Data") is None
    assert source_of("datamodules.nowhere") is None
