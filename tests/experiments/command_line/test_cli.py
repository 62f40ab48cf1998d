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
    ("options", "sentence"),
    [
        (
            ["--model.init_args.n_taps", "-3"],
            r"cannot be built: .*negative.*/network.py, line \d+",
        ),
        (
            ["--model.init_args.optimizer.class_path", "json.JSONDecoder"],
            "value of 'optimizer' is wrong: .*JSONDecoder",
        ),
    ],
)
def test_what_only_the_classes_can_tell_is_one_sentence_too(options: list[str], sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        built(*options)
    assert re.search(sentence, str(caught.value)), caught.value
    assert not re.search("\n|Union subtypes|NestedArg", str(caught.value))


def test_the_parser_takes_no_abbreviations() -> None:
    parser = built().parser
    with pytest.raises(UserError, match=r"no key 'seed_everythin'. Did you mean 'seed_everything'"):
        parser.parse_args(["--seed_everythin", "3"])


def test_a_run_prints_what_it_is_and_where_it_goes_and_nothing_else(
    workplace: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--data.init_args.seconds", "0.1", "--trainer.max_epochs", "1", "--test_after_fit", "false"]
    SuiteCLI(["fit", "--config", str(SIXTH), *options])
    output = capfd.readouterr()
    assert re.fullmatch(r"sixth at demo scale, seed 0: runs/sixth/\S+_demo_seed0_\w{4}\n", output.err)
    [bar] = output.out.strip().splitlines()
    assert bar.startswith("Epoch 1 of 1")


@pytest.mark.parametrize(("name", "answer"), [("banjo", "no instrument 'banjo'"), ("flut", "flute")])
def test_what_a_class_refuses_ends_in_one_sentence(
    name: str, answer: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"), one_sentence_errors():
        SuiteCLI(["fit", "--config", "ddsp", "--data.init_args.source_instruments", f"[{name}]"])
    [sentence] = capsys.readouterr().err.splitlines()[-1:]
    assert sentence.startswith("error: ") and answer in sentence
    assert not list(workplace.iterdir())
