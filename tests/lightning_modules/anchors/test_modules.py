import numpy as np
import pytest
import torch

from datamodules.batch import TransferBatch
from lightning_modules import anchors
from lightning_modules.transfer_module import TimbreTransferModule

RATE = 16000
EVERY = [getattr(anchors, name) for name in anchors.__all__ if name != "AnchorError"]
LACKS = {
    anchors.WrongNotes: "wrong_notes",
    anchors.OtherRecording: "other_recording",
    anchors.OraclePhase: "target",
    anchors.TargetPlusNoise: "target",
}


def sound(seed: int, seconds: float = 1.0, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(count, round(seconds * RATE), generator=generator)


def batch(**changes: object) -> TransferBatch:
    ids = torch.tensor([0, 1])
    made = TransferBatch(
        sound(0), sound(1, 0.4), sound(2), ids, 1 - ids, ["p", "q"], ["r", "s"], ["monophonic"] * 2,
        wrong_notes=sound(3), other_recording=sound(4),
    )  # fmt: skip
    return made._replace(**changes)


@pytest.mark.parametrize("anchor", EVERY)
def test_every_anchor_answers_in_the_sources_shape_and_is_marked(anchor):
    module = anchor(RATE, ["a", "b"])
    assert isinstance(module, TimbreTransferModule) and module.is_anchor
    assert module.transfer_batch(batch()).shape == (2, RATE)
    assert not list(module.parameters())


def test_what_each_answers():
    given = batch()
    assert torch.equal(anchors.Copy(RATE).transfer_batch(given), given.source)
    assert torch.equal(anchors.WrongNotes(RATE).transfer_batch(given), given.wrong_notes)
    assert torch.equal(anchors.OtherRecording(RATE).transfer_batch(given), given.other_recording)
    assert not anchors.Silence(RATE).transfer_batch(given).any()
    repeated = anchors.CopyReference(RATE).transfer_batch(given)
    assert torch.equal(repeated, given.reference.repeat(1, 3)[:, :RATE])


def test_oracle_phase_of_the_target_itself_is_the_target():
    given = batch(source=sound(2))
    assert torch.allclose(anchors.OraclePhase(RATE).transfer_batch(given), given.target, atol=1e-5)


def test_oracle_phase_has_the_targets_energy_and_not_its_waveform():
    given = batch()
    answer = anchors.OraclePhase(RATE).transfer_batch(given)
    correlation = np.corrcoef(answer[0], given.target[0])[0, 1]
    assert abs(correlation) < 0.1


@pytest.mark.parametrize("snr_db", [20.0, 0.0])
def test_the_noise_is_as_far_below_the_target_as_it_says(snr_db):
    given = batch()
    noise = anchors.TargetPlusNoise(RATE, snr_db=snr_db).transfer_batch(given) - given.target
    measured_db = 10 * torch.log10(given.target.square().mean(-1) / noise.square().mean(-1))
    assert measured_db.numpy() == pytest.approx(snr_db, abs=0.2)


def test_the_noise_is_that_of_the_piece_whatever_the_batch():
    given = batch()
    alone = given._replace(target=given.target[1:], piece=["q"])
    anchor = anchors.TargetPlusNoise(RATE)
    assert torch.equal(anchor.transfer_batch(alone)[0], anchor.transfer_batch(given)[1])


@pytest.mark.parametrize(("anchor", "field"), LACKS.items())
def test_what_is_lacking_is_said_in_one_sentence(anchor, field):
    with pytest.raises(anchors.AnchorError, match=f"{anchor.__name__} needs `{field}`"):
        anchor(RATE).transfer_batch(batch(**{field: None}))


@pytest.mark.parametrize("anchor", LACKS)
def test_an_anchor_that_knows_the_answer_cannot_transfer_a_file(anchor):
    with pytest.raises(anchors.AnchorError, match="checkpoint of a trained architecture"):
        anchor(RATE).transfer(sound(0))
