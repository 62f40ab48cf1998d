"""The shipped DDSP experiments: documented sizes, decoders compared on equal terms."""

import pytest
import yaml

from experiments.catalog import find
from experiments.cli import SuiteCLI


def build(*configs):
    return SuiteCLI([part for name in configs for part in ("--config", name)], run=False)


@pytest.mark.parametrize(
    ("configs", "parameters"),
    [
        (["ddsp"], 1_022_078),
        (["ddsp", "ddsp_one_layer"], 823_166),
        (["ddsp", "ddsp_large"], 4_801_150),
        (["ddsp", "ddsp_tiny"], 232_314),
    ],
)
def test_experiments_have_the_documented_sizes(configs, parameters):
    assert sum(p.numel() for p in build(*configs).model.parameters()) == parameters


@pytest.mark.parametrize("decoder", ["lstm", "dilated"])
def test_decoders_are_compared_at_equal_size(decoder):
    model = build(f"ddsp_{decoder}", f"ddsp_{decoder}_equal").model
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(1_022_078, rel=0.01)


@pytest.mark.parametrize("name", ["ddsp_lstm", "ddsp_dilated"])
def test_experiments_differ_in_the_decoder_only(name):
    ours, gru = (yaml.safe_load(find(n).read_text()) for n in (name, "ddsp"))
    decoders = [c["model"]["init_args"]["network"]["init_args"].pop("decoder") for c in (ours, gru)]
    assert ours == gru
    assert decoders[0] != decoders[1]


def test_reverb_is_built_and_its_curriculum_is_added_to_the_others():
    cli = build("ddsp", "ddsp_reverb")
    assert cli.model.synthesizer.reverb.impulse_response.numel() == 48_000
    scheduled = [callback.init_args.get("attribute") for callback in cli.config.trainer.callbacks]
    assert scheduled == ["spectral_loss.n_scales", None, "synthesizer.reverb.wet"]


def test_without_noise_the_network_has_no_noise_outputs():
    assert build("ddsp", "ddsp_no_noise").model.network.sizes == [1, 60, 0]
