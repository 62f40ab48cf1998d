"""The shipped DDSP experiments: documented sizes, decoders compared on equal terms."""

import pytest
import yaml

from experiments.command_line.catalogue import find
from experiments.command_line.cli import SuiteCLI


def build(name, *options):
    return SuiteCLI(["--config", name, *options], run=False)


def network_size(name):
    return sum(p.numel() for p in build(name).model.network.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("ddsp", 1_022_078), ("ddsp_one_layer", 823_166), ("ddsp_large", 4_801_150), ("ddsp_tiny", 232_314)],
)
def test_experiments_have_the_documented_sizes(name, parameters):
    assert network_size(name) == parameters


@pytest.mark.parametrize("decoder", ["lstm", "dilated"])
def test_decoders_are_compared_at_equal_size(decoder):
    assert network_size(f"ddsp_{decoder}_equal") == pytest.approx(1_022_078, rel=0.01)


@pytest.mark.parametrize("name", ["ddsp_lstm", "ddsp_dilated"])
def test_experiments_differ_in_the_decoder_only(name):
    difference = yaml.safe_load(find(name).read_text())
    assert list(difference["model"]["init_args"]["network"]["init_args"]) == ["decoder"]
    ours, gru = build(name).config, build("ddsp").config
    decoders = [c.model.init_args.network.init_args.pop("decoder") for c in (ours, gru)]
    assert ours.model == gru.model and ours.data == gru.data and ours.trainer == gru.trainer
    assert decoders[0].class_path != decoders[1].class_path


def test_the_room_has_three_seconds_and_comes_in_late():
    cli = build("ddsp", "--scale", "paper")
    assert cli.model.synthesizer.reverb.impulse_response.numel() == 48_000
    curriculum = cli.config.curriculum.points
    assert set(curriculum) == {"spectral_loss.n_scales", "synthesizer.reverb.wet", "learning_rate"}
    assert curriculum["synthesizer.reverb.wet"][0] == [0.05, 0.0]


@pytest.mark.parametrize("scale", ["demo", "paper"])
def test_ablations_leave_out_what_they_name(scale):
    dry, as_played = (build(name, "--scale", scale) for name in ("ddsp_dry", "ddsp_as_played"))
    assert dry.model.synthesizer.reverb is None and dry.model.articulation is not None
    assert as_played.model.articulation is None and as_played.model.synthesizer.reverb is not None
    assert not dry.config.curriculum.points["synthesizer.reverb.wet"]
    assert as_played.config.curriculum.points["synthesizer.reverb.wet"]


def test_without_noise_the_network_has_no_noise_outputs():
    assert build("ddsp_no_noise").model.network.sizes == [1, 60, 0]
