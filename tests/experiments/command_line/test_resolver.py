"""Configs are layered in one place: by their bases, their scale, and the command line over all."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.command_line import catalogue
from experiments.command_line.cli import SuiteCLI
from experiments.command_line.resolver import ResolvedConfig, merged, resolve, scales
from runtime.errors import UserError
from tests.conftest import ROOT


def written(folder: Path, **contents: Mapping[str, Any]) -> list[str]:
    """Paths of config files with these names and contents."""
    for name, content in contents.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(dict(content)))
    return [str(folder / f"{name}.yaml") for name in contents]


def steps(resolved: ResolvedConfig) -> Any:
    return resolved.values["trainer"].get("max_steps")


def test_later_layers_win_and_options_over_all(tmp_path: Path) -> None:
    one, other = written(tmp_path, one={"trainer": {"max_steps": 1}}, other={"trainer": {"max_steps": 2}})
    assert steps(resolve(["--config", one, "--config", other])) == 2
    assert steps(resolve(["-c", other, f"--config={one}"])) == 1
    for options in (["--trainer.max_steps", "3"], ["--trainer.max_steps=3"]):
        resolved = resolve(["--config", one, *options])
        assert steps(resolved) == 3 and resolved.options == tuple(options)


@pytest.mark.parametrize("arguments", [["--scale", "paper"], ["--scale=paper"]])
def test_a_scale_comes_after_what_it_is_a_scale_of(tmp_path: Path, arguments: list[str]) -> None:
    [mine] = written(
        tmp_path, mine={"trainer": {"max_steps": 1}, "scales": {"paper": {"trainer": {"max_steps": 9}}}}
    )
    assert (steps(resolve(["--config", mine])), steps(resolve(["--config", mine, *arguments]))) == (1, 9)
    assert resolve(arguments).scale == "paper"


def test_a_base_comes_first_with_its_sizes(tmp_path: Path) -> None:
    demo = {"scales": {"demo": {"trainer": {"max_steps": 5}}}}
    contents = {
        "first": {"trainer": {"max_steps": 4}} | demo,
        "second": {"base": "first.yaml"},
        "third": {"base": "second.yaml"},
    }
    names = written(tmp_path, **contents)
    assert steps(resolve(["--config", names[2]])) == 5
    twice = resolve(["--config", names[0], "--config", names[2]])
    assert len(twice.layers) == len(resolve(["--config", names[2]]).layers)  # a base is applied once
    over = written(tmp_path, over={"base": "first.yaml", "trainer": {"max_steps": 6}})
    assert steps(resolve(["--config", *over])) == 6


def test_a_file_of_ones_own_is_never_taken_for_the_shipped_one(tmp_path: Path) -> None:
    own = {"trainer": {"max_steps": 77}, "data": {"init_args": {"segment_s": 3.0}}}
    [alone] = written(tmp_path, ddsp=own)
    resolved = resolve(["--config", alone])
    assert (steps(resolved), resolved.values["data"]["init_args"]["segment_s"]) == (77, 3.0)
    assert resolved.experiment == "own_ddsp" != resolve(["--config", "ddsp"]).experiment
    assert resolved.fingerprint != resolve(["--config", "ddsp"]).fingerprint
    [over] = written(tmp_path, ddsp=own | {"base": "ddsp"})
    resolved = resolve(["--config", over])
    assert (steps(resolved), resolved.values["data"]["init_args"]["segment_s"]) == (77, 3.0)
    assert resolved.values["data"]["init_args"]["batch_size"] == 8  # of ddsp at the scale demo


def test_layered_configs_name_the_experiment_together(tmp_path: Path) -> None:
    [mine] = written(tmp_path, mine={"trainer": {}})
    assert resolve(["--config", "copy", "--config", mine]).experiment == "copy+mine"


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        ({"a": {"base": "a.yaml"}}, "circle: a → a"),
        (
            {"a": {"base": "b.yaml"}, "b": {"base": ["c.yaml"]}, "c": {"base": "a.yaml"}},
            "circle: a → b → c → a",
        ),
        ({"a": {"base": "ddpp"}}, "no experiment.*'ddpp'.*Did you mean 'ddsp'"),
        ({"a": {"base": 3}}, "`base` is the name of an experiment or a list of names"),
        ({"a": {"scales": [1]}}, "`scales` is a mapping"),
        ({"a": {"scales": {"demo": 3}}}, "`scales` is a mapping"),
    ],
)
def test_what_cannot_be_layered_is_one_sentence(
    tmp_path: Path, contents: dict[str, Any], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        resolve(["--config", written(tmp_path, **contents)[0]])


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--scale", "papper"], "no scale 'papper'.*Did you mean 'paper'"),
        (["--config"], "needs a name after it"),
    ],
)
def test_unknown_names_get_the_nearest_one(arguments: list[str], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        resolve(arguments)


def test_layers_are_merged_as_the_parser_does() -> None:
    layers = [{"a": {"b": 1, "c": [1]}, "d": 1}, {"a": {"c+": [2]}}, {"a": {"b": 2}, "d": None}]
    assert merged(layers) == {"a": {"b": 2, "c": [1, 2]}, "d": None}


def test_a_class_has_one_fingerprint_by_whichever_path_it_is_named() -> None:
    short, long, other = (
        resolve(["--config", "ddsp", "--model.class_path", path]).fingerprint
        for path in (
            "lightning_modules.DDSPModule",
            "lightning_modules.ddsp.module.DDSPModule",
            "lightning_modules.MambaMuseModule",
        )
    )
    assert short == long == resolve(["--config", "ddsp"]).fingerprint != other
    tests = [
        resolve(["--config", "ddsp", "--data.class_path", path]).test_fingerprint
        for path in ("datamodules.PairedDataModule", "datamodules.data_module.PairedDataModule")
    ]
    assert len(set(tests)) == 1


def test_a_fingerprint_is_of_what_decides(tmp_path: Path) -> None:
    def fingerprints(*options: str) -> tuple[str, str]:
        resolved = resolve(["--config", "ddsp", *options])
        return resolved.fingerprint, resolved.test_fingerprint

    training, test = fingerprints()
    assert fingerprints("--trainer.max_time", "00:00:01:00", "--runs_dir", "x") == (training, test)
    assert fingerprints("--data.init_args.test_pieces", "3")[0] == training
    assert fingerprints("--data.init_args.test_pieces", "3")[1] != test
    for option in ("--trainer.max_steps", "--model.init_args.optimizer.init_args.lr", "--seed_everything"):
        assert fingerprints(option, "3")[0] != training
    assert fingerprints("--curriculum.points.learning_rate", "null")[0] != training
    assert fingerprints("--scale", "paper")[0] != training


def test_an_ablation_drops_a_curriculum_with_one_line(tmp_path: Path) -> None:
    [mine] = written(
        tmp_path, mine={"base": "ddsp", "curriculum": {"points": {"synthesizer.reverb.wet": None}}}
    )
    cli = SuiteCLI(["--config", mine], run=False)
    assert set(cli.config_init.curriculum.schedules) == {"spectral_loss.n_scales", "learning_rate"}


@pytest.mark.parametrize("scale", scales())
@pytest.mark.parametrize("experiment", catalogue.experiments(), ids=lambda experiment: experiment.name)
def test_the_parser_comes_to_the_same_values(experiment: catalogue.Experiment, scale: str) -> None:
    arguments = ["--config", experiment.name, "--scale", scale]
    cli = SuiteCLI(arguments, run=False)
    parsed = yaml.safe_load(cli.parser.dump(cli.config, skip_none=False))
    assert list(differences(resolve(arguments).values, parsed)) == []


def differences(resolved: Any, parsed: Any, name: str = "") -> Iterator[str]:
    """Dotted names of what both sides have and have differently."""
    if isinstance(resolved, Mapping) and isinstance(parsed, Mapping):
        for key in resolved.keys() & parsed.keys():
            yield from differences(resolved[key], parsed[key], f"{name}.{key}".lstrip("."))
    elif isinstance(resolved, list) and isinstance(parsed, list) and len(resolved) == len(parsed):
        for one, other in zip(resolved, parsed, strict=True):
            yield from differences(one, other, name)
    elif resolved != parsed and not (
        name.endswith("class_path") and str(parsed).endswith(resolved.rpartition(".")[2])
    ):
        yield name


def test_resolving_imports_nothing_heavy() -> None:
    code = (
        "import sys; from experiments.command_line.resolver import resolve; resolve(['--config', 'ddsp'])\n"
        "assert not {'lightning', 'torch', 'mlflow', 'librosa', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
