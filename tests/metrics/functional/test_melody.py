import mir_eval
import numpy as np
import pytest
import torch

from datamodules.features.pitch import Pitch
from metrics.functional import melody


def random_pitch(seed: int, around: Pitch | None = None) -> Pitch:
    generator = np.random.default_rng(seed)
    base = 220.0 if around is None else around.f0_hz[0].numpy()
    semitones = generator.choice(
        [0.0, 0.2, 0.6, 12.0, -12.3, 5.0, 24.0], 400, p=[0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05]
    )
    f0_hz = base * 2 ** (semitones / 12)
    return Pitch(torch.tensor(f0_hz)[None], torch.tensor(generator.uniform(0, 1, 400))[None])


TARGET = random_pitch(0)
PREDS = random_pitch(1, around=TARGET)


def mir_eval_arrays():
    def cents(pitch: Pitch) -> np.ndarray:
        return mir_eval.melody.hz2cents(pitch.f0_hz[0].numpy())

    def voicing(pitch: Pitch) -> np.ndarray:
        return (pitch.confidence[0].numpy() >= melody.VOICED).astype(float)

    return voicing(TARGET), cents(TARGET), voicing(PREDS), cents(PREDS)


def test_raw_accuracies_are_those_of_mir_eval():
    arrays = mir_eval_arrays()
    ours = [f(PREDS, TARGET).item() for f in (melody.raw_pitch_accuracy, melody.raw_chroma_accuracy)]
    theirs = [f(*arrays) for f in (mir_eval.melody.raw_pitch_accuracy, mir_eval.melody.raw_chroma_accuracy)]
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours[0] < ours[1]


def test_voicing_measures_are_those_of_mir_eval():
    target_voicing, _, preds_voicing, _ = mir_eval_arrays()
    recall, false_alarm = mir_eval.melody.voicing_measures(target_voicing, preds_voicing)
    assert melody.voicing_recall(PREDS, TARGET).item() == pytest.approx(recall)
    assert melody.voicing_false_alarm(PREDS, TARGET).item() == pytest.approx(false_alarm)


def test_semitone_error_and_outliers_in_the_head():
    target = Pitch(torch.full((1, 4), 100.0), torch.tensor([[0.9, 0.9, 0.9, 0.5]]))
    preds = Pitch(torch.tensor([[100.0, 200.0, 400.0, 800.0]]), torch.ones(1, 4))
    # The last frame is not confident: (0 + 12 + 24) / 3, and only 24 is more than an octave.
    assert melody.f0_semitone_error(preds, target).item() == pytest.approx(12)
    assert melody.f0_outlier_share(preds, target).item() == pytest.approx(1 / 3)


def test_nothing_voiced_is_undefined():
    unvoiced = Pitch(TARGET.f0_hz, torch.zeros_like(TARGET.confidence))
    assert melody.raw_pitch_accuracy(PREDS, unvoiced).isnan()
    assert melody.voicing_recall(unvoiced, TARGET).item() == 0
