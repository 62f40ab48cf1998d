"""Search spaces: what a file may say, and what comes out of it."""

from __future__ import annotations

import math
from pathlib import Path

import optuna
import pytest

from runtime.errors import UserError
from sweeps.spaces import SPACES, Space, as_options, find_space, read_space
from tests.sweeps.conftest import RATE, TAPS

SHIPPED = sorted(path.stem for path in SPACES.glob("*.yaml"))


def test_every_architecture_has_a_space() -> None:
    assert {"ddsp", "disentangled", "mambamuse", "melgan_style", "melgan_vocoder", "pix2pix"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_space_tunes_a_learning_rate_from_the_range_test(name: str) -> None:
    space = read_space(SPACES / f"{name}.yaml")
    assert space.objectives
    rates = {key: d for key, d in space.distributions.items() if key.endswith("optimizer.init_args.lr")}
    assert rates and all(d.log and d.range_test for d in rates.values())


def test_a_variant_has_the_space_of_what_it_is_over() -> None:
    assert find_space("ddsp_lstm") == find_space("ddsp") == SPACES / "ddsp.yaml"
    with pytest.raises(UserError, match=r"no search space for copy .*--space FILE"):
        find_space("copy")


def test_values_come_from_their_distributions_and_lists_come_back(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "space:\n"
        "  a.rate: {type: float, low: 1.0e-4, high: 1.0e-2, log: true}\n"
        "  a.layers: {type: int, low: 2, high: 8, step: 2}\n"
        "  a.betas: {type: categorical, choices: [[0.5, 0.9], [0.9, 0.999], null]}\n"
    )
    space = read_space(path)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    seen = []
    for _ in range(200):
        trial = study.ask()
        seen.append(space.suggest(trial))
        assert space.values(trial.params) == seen[-1]
    rates = [math.log10(values["a.rate"]) for values in seen]
    assert min(rates) >= -4 and max(rates) <= -2
    assert abs(sum(rates) / len(rates) + 3) < 0.15  # uniform over factors
    assert {values["a.layers"] for values in seen} == {2, 4, 6, 8}
    assert {str(values["a.betas"]) for values in seen} == {"[0.5, 0.9]", "[0.9, 0.999]", "None"}


def test_options_of_a_command_line_say_the_values() -> None:
    values = {"a.rate": 1e-5, "a.betas": [0.5, 0.9], "a.on": True, "a.off": None, "a.name": "violin"}
    options = ["--a.rate", "1e-05", "--a.betas", "[0.5, 0.9]", "--a.on", "true", "--a.off", "null"]
    assert as_options(values) == [*options, "--a.name", "violin"]


def test_a_suggested_rate_is_brought_into_the_limits(space: Space) -> None:
    rate = space.distributions[RATE]
    assert [rate.clipped(value) for value in (1e-6, 1e-3, 1.0)] == [1e-4, 1e-3, 1e-1]
    assert rate.holds(1e-3) and not rate.holds(1.0)
    assert space.distributions[TAPS].holds(17) and not space.distributions[TAPS].holds(18)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("space: [1", "is not valid YAML"),
        ("- 1", "is no mapping"),
        ("space: {a: {type: int, low: 1, high: 2}, a: {type: int, low: 3, high: 4}}", "the key 'a' 2 times"),
        ("# Stra\xdfe", "no text in UTF-8"),
        ("7: 1", "the entry '7'"),
        ("space: {a: {type: [int], low: 1, high: 2}}", "the type must be"),
        (
            "space: {a: {type: int, low: 0, high: 5, step: 10}}",
            "step must be above 0 and at most high − low = 5",
        ),
        ("space: {a: {type: float, low: 0, high: 1, step: 0}}", "step must be above 0"),
        ("space: {a: {type: float, low: 0, high: .inf}}", "high must be float, found inf"),
        ("space: {a: {type: float, low: 0, high: 1, step: .nan}}", "step must be float, found nan"),
        ("space: {a: {type: float, low: 1, high: 2, log: 'no'}}", "log must be true or false, found 'no'"),
        ("space: {a: {type: categorical, choices: [2, 2]}}", "two or more different values"),
        ("spaces: {}", "the entry 'spaces'.*Did you mean 'space'"),
        ("space: {}", "needs an entry 'space'"),
        ("{objectives: val/mr_stft, space: {a: {type: int, low: 1, high: 2}}}", "must be a list of metrics"),
        ("space: {a: {type: flaot, low: 1, high: 2}}", "a: the type must be.*'flaot'.*Did you mean 'float'"),
        ("space: {a: 3}", "a: the type must be"),
        ("space: {a: {type: int, low: 1, hihg: 2}}", "no 'hihg'.*Did you mean 'high'"),
        ("space: {a: {type: int, low: 1.5, high: 2}}", "low must be int, found 1.5"),
        ("space: {a: {type: float, low: 1e-4, high: 1.0}}", "found '1e-4'.*write 1.0e-04"),
        ("space: {a: {type: float, low: 1, high: yes}}", "high must be float, found True"),
        ("space: {a: {type: float, low: 2, high: 1}}", "low must be less than high"),
        ("space: {a: {type: float, low: 0, high: 1, log: true}}", "with log above 0"),
        ("space: {a: {type: int, low: 1, high: 9, log: true, step: 2}}", "not both"),
        ("space: {a: {type: categorical, choices: [1]}}", "two or more"),
        ("space: {a: {type: categorical, choices: [1, 2], log: true}}", "categorical has no 'log'"),
    ],
)
def test_a_wrong_space_ends_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(text, encoding="latin-1" if "\xdf" in text else "utf-8")
    with pytest.raises(UserError, match=sentence) as caught:
        read_space(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_space_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        read_space(tmp_path / "nowhere.yaml")
