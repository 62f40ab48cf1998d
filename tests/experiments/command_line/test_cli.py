"""The command line: what is linked, what a user gets wrong, building without running."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from experiments.command_line.cli import SuiteCLI, build_model
from runtime.errors import UserError, one_sentence_errors
from tests.conftest import SIXTH


def built(*options: str) -> SuiteCLI:
    return SuiteCLI(["--config", str(SIXTH), *options], run=False)


def test_model_and_data_share_sample_rate_and_instruments() -> None:
    cli = built("--data.init_args.sample_rate", "24000")
    assert cli.model.sample_rate == cli.datamodule.sample_rate == 24000
    assert cli.model.instruments == list(cli.datamodule.instruments)


def test_build_model_gives_the_untrained_module_and_leaves_nothing_behind(workplace: Path) -> None:
    model = build_model(str(SIXTH))
    taps = model.network.taps
    assert torch.equal(taps, torch.eye(33)[16].expand_as(taps))
    assert not list(workplace.iterdir())


def test_a_later_config_wins_and_loss_weights_merge(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("model: {init_args: {n_taps: 5, loss_weights: {waveform: 2.0}}}\n")
    model = built("--config", str(mine)).model
    assert model.network.taps.shape == (2, 5)
    assert (model.loss_weights.magnitude, model.loss_weights.waveform) == (1.0, 2.0)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("modle: {class_path: x.y}", "key 'modle.class_path' does not exist. Did you mean 'model'"),
        ("trainer: {max_epoch: 3}", "key 'max_epoch' does not exist. Did you mean 'max_epochs'"),
        ("model: {init_args: {n_tap: 5}}", "key 'n_tap' does not exist. Did you mean 'n_taps'"),
        ("data: {init_args: {sample_rat: 5}}", "key 'sample_rat' does not exist. Did you mean 'sample_rate'"),
        ("model: {init_args: {loss_weights: {wavefrom: 1}}}", "key '.*wavefrom' does not exist"),
        ("model: {init_args: {n_taps: many}}", "value of 'n_taps' is wrong: Expected a <class 'int'>"),
        (
            "model: {class_path: tests.experiments.sixth.module.SixtModule}",
            "'tests.experiments.sixth.module.SixtModule' cannot be used.*Did you mean 'SixthModule'",
        ),
        ("model: [1, 2", "configuration"),
    ],
)
def test_a_wrong_config_ends_in_one_sentence(tmp_path: Path, config: str, sentence: str) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(config)
    with pytest.raises(UserError) as caught:
        built("--config", str(wrong))
    assert re.search(sentence, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


def test_an_unknown_option_on_the_command_line_gets_the_nearest_one() -> None:
    with pytest.raises(UserError, match=r"'n_tap' does not exist. Did you mean 'n_taps'"):
        built("--model.init_args.n_tap", "3")
    with pytest.raises(UserError, match=r"does not exist.*Did you mean 'seed_everything'"):
        built("--seed_evrything", "3")


@pytest.mark.parametrize(("name", "answer"), [("banjo", "no instrument 'banjo'"), ("flut", "flute")])
def test_what_a_class_refuses_ends_in_one_sentence(
    name: str, answer: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"), one_sentence_errors():
        SuiteCLI(["fit", "--config", "ddsp", "--data.init_args.source_instruments", f"[{name}]"])
    [sentence] = capsys.readouterr().err.splitlines()[-1:]
    assert sentence.startswith("error: ") and answer in sentence
    assert not list(workplace.iterdir())
