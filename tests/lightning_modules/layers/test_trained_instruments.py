"""A model says by name what it can play."""

import pytest
import torch

from datamodules.corpora.corpus import CorpusError
from lightning_modules.layers.trained_instruments import TrainedInstruments

NAMES = ["flute", "trumpet", "violin"]


def ids(*names: str) -> torch.Tensor:
    return torch.tensor([NAMES.index(name) for name in names])


def test_an_untrained_model_and_a_free_choice_pass():
    instruments = TrainedInstruments(NAMES, "This model")
    instruments.require(ids("flute", "violin"))
    instruments.observe(ids("violin", "violin"))
    instruments.require(None)
    instruments.require(ids("violin"))


def test_only_what_is_missing_is_named():
    instruments = TrainedInstruments(NAMES, "This model", only_one=False)
    instruments.observe(ids("violin", "flute"))
    with pytest.raises(CorpusError, match=r"trained to play flute, violin cannot play trumpet:"):
        instruments.require(ids("flute", "trumpet", "trumpet"))


def test_a_second_instrument_is_refused_also_after_a_while():
    instruments = TrainedInstruments(NAMES, "This model")
    instruments.observe(ids("violin"))
    with pytest.raises(CorpusError, match=r"learns one instrument.*flute, violin: set"):
        instruments.observe(ids("flute"))


def test_what_was_trained_is_in_the_checkpoint():
    trained, loaded = (TrainedInstruments(NAMES, "This model") for _ in range(2))
    trained.observe(ids("trumpet"))
    loaded.load_state_dict(trained.state_dict())
    with pytest.raises(CorpusError, match="trumpet cannot play flute"):
        loaded.require(ids("flute"))
