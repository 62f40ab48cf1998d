"""A space against the resolved config of its experiment."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch.optim import Optimizer

from callbacks.range_test import trained_parts
from experiments.command_line.cli import build_model
from runtime.errors import UserError
from sweeps.checking import check
from sweeps.spaces import SPACES, Space, find_space, read_space
from tests.conftest import SIXTH
from tests.sweeps.conftest import RATE, TAPS


def written(tmp_path: Path, entry: str) -> Space:
    path = tmp_path / "space.yaml"
    path.write_text(f"space:\n  {entry}\n")
    return read_space(path)


@pytest.mark.parametrize("name", sorted(path.stem for path in SPACES.glob("*.yaml")))
def test_a_shipped_space_fits_its_experiment(name: str) -> None:
    space = read_space(find_space(name))
    facts = check(name, "demo", [], space, list(space.objectives))
    held = space.distributions
    assert all(held[key].holds(value) for key, value in facts.own_values.items())
    wanted = {distribution.range_test for distribution in held.values()} - {None}
    model = build_model(name)
    optimizers = model.configure_optimizers()
    optimizers = [optimizers] if isinstance(optimizers, Optimizer) else optimizers
    assert wanted <= {trained_parts(model, optimizer) for optimizer in optimizers}


def test_what_a_sweep_needs_to_know(space: Space) -> None:
    facts = check(str(SIXTH), "demo", [], space, ["val/mfcc_distance"])
    assert facts.own_values == {TAPS: 33, RATE: 1e-3}
    assert (facts.name, facts.monitor, facts.monitor_direction) == ("sixth", "val/mr_stft", "minimize")
    assert facts.batches_per_epoch == 4
    assert facts.directions == {"val/mfcc_distance": "minimize"} and facts.is_cheap


def test_every_metric_knows_which_way_is_better(space: Space) -> None:
    objectives = ["val/joint_score", "val/real_time_factor", "val/mr_stft"]
    facts = check(str(SIXTH), "demo", [], space, objectives)
    assert list(facts.directions.values()) == ["maximize", "minimize", "minimize"]
    assert not facts.is_cheap


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ("model.init_args.n_tap: {type: int, low: 1, high: 3}", "Did you mean 'model.init_args.n_taps'"),
        ("model.init_args.optimizer: {type: int, low: 1, high: 3}", "no such value"),
        (
            "model.init_args.n_taps: {type: float, low: 1.5, high: 3.5}",
            "n_taps 1.5.*must be a whole number",
        ),
        (
            "model.init_args.n_taps: {type: categorical, choices: [9, many]}",
            "n_taps many.*must be a whole number",
        ),
    ],
)
def test_a_key_or_value_that_the_config_does_not_take(tmp_path: Path, entry: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        check(str(SIXTH), "demo", [], written(tmp_path, entry), ["val/mr_stft"])
    assert "space.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_value_that_a_class_refuses(tmp_path: Path) -> None:
    space = written(
        tmp_path, "model.init_args.network.init_args.hidden_size: {type: int, low: 128, high: 256}"
    )
    with pytest.raises(UserError, match=r"hidden_size 128\): network.decoder has input_size 512"):
        check("ddsp", "demo", [], space, ["val/mr_stft"])


def test_a_value_that_a_curriculum_overwrites(tmp_path: Path) -> None:
    space = written(tmp_path, "model.init_args.loss_weights.adversarial: {type: float, low: 0.1, high: 1.0}")
    with pytest.raises(UserError, match=r"the curriculum schedules loss_weights.adversarial"):
        check("pix2pix", "demo", [], space, ["val/mr_stft"])


def test_an_objective_that_nobody_measures(space: Space) -> None:
    with pytest.raises(UserError, match=r"no objective 'val/joint'.*Did you mean 'val/joint_score'"):
        check(str(SIXTH), "demo", [], space, ["val/joint"])


def test_an_anchor_has_nothing_to_tune(space: Space) -> None:
    with pytest.raises(UserError, match="anchor and has nothing to tune"):
        check("copy", "demo", [], space, ["val/mr_stft"])
