"""What a study leaves: a config for `fit`, and pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.command_line.cli import SuiteCLI
from sweeps.best import nested, write_best
from sweeps.pictures import draw, short
from sweeps.spaces import Space
from tests.conftest import SIXTH
from tests.sweeps.conftest import RATE, TAPS, finished_study


def test_the_best_trial_becomes_a_config_that_fit_accepts(tmp_path: Path, space: Space) -> None:
    study = finished_study(space, [(3.0,), (1.0,), (1.0,), (2.0,)])
    [path] = write_best(study, tmp_path, str(SIXTH), space, ["val/mr_stft"])
    assert path.name == "toy_best.yaml"
    assert path.read_text().startswith(
        "# sixth, tuned: trial 1 of the sweep toy, val/mr_stft 1 in validation\n"
    )
    cli = SuiteCLI(["--config", str(path)], run=False)
    best = space.values(study.trials[1].params)
    assert cli.model.network.taps.shape[1] == best[TAPS]
    assert cli.model.optimizer(cli.model.parameters()).defaults["lr"] == pytest.approx(best[RATE])
    assert [path.name for path in tmp_path.iterdir()] == ["toy_best.yaml"]


def test_every_trial_of_the_pareto_front_becomes_a_config(tmp_path: Path, space: Space) -> None:
    study = finished_study(space, [(1.0, 3.0), (2.0, 2.0), (3.0, 3.0), (4.0, 1.0)])
    paths = write_best(study, tmp_path, "ddsp", space, ["val/mr_stft", "val/real_time_factor"])
    assert [path.name for path in paths] == [f"toy_pareto_000{number}.yaml" for number in (0, 1, 3)]
    assert "# over: ddsp\n" in paths[0].read_text()


def test_a_study_without_a_complete_trial_leaves_nothing(tmp_path: Path, space: Space) -> None:
    import optuna

    study = optuna.create_study()
    assert write_best(study, tmp_path, "ddsp", space, ["val/mr_stft"]) == []
    assert draw(study, ["val/mr_stft"], tmp_path) == []


@pytest.mark.parametrize(
    ("metrics", "names"),
    [
        (["val/mr_stft"], {"history", "importances", "slice"}),
        (
            ["val/mr_stft", "val/real_time_factor"],
            {f"{name}_{metric}" for name in ("history", "importances", "slice") for metric in ("mr_stft",)}
            | {f"{name}_real_time_factor" for name in ("history", "importances", "slice")}
            | {"pareto"},
        ),
    ],
)
def test_the_pictures_of_a_study(tmp_path: Path, space: Space, metrics: list[str], names: set[str]) -> None:
    scores = [tuple(float((index * 7 + k * 3) % 5) for k in range(len(metrics))) for index in range(6)]
    paths = draw(finished_study(space, scores), metrics, tmp_path)
    assert {path.stem for path in paths} == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_names_in_pictures_and_trees_of_keys() -> None:
    assert short(RATE) == "optimizer.lr"
    assert nested({"a.b.c": 1, "a.b.d": [2], "e": 3}) == {"a": {"b": {"c": 1, "d": [2]}}, "e": 3}
