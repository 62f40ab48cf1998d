import librosa
import mir_eval
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from metrics.functional.content import (
    chroma,
    chroma_cosine,
    jaccard_distance,
    onset_f1,
    onset_f_measure,
    pitch_jaccard_distance,
)
from tests.metrics.conftest import RATE, Quartet, melody, tone

TUNE = [60, 64, 67, 72, 0, 67, 64, 60]


def test_jaccard_distance_in_the_head():
    preds = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]], bool)
    target = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0]], bool)
    # One of three pitches shared, both empty, equal, one side empty.
    assert jaccard_distance(preds, target) == pytest.approx((2 / 3 + 0 + 0 + 1) / 4)


def test_same_notes_are_near_and_other_notes_far_on_real_renders(quartet: Quartet):
    copied, other, wrong = (
        pitch_jaccard_distance(x, quartet.violin, RATE).mean()
        for x in (quartet.keyboard, quartet.other_violin, quartet.wrong_violin)
    )
    assert other < 0.25 and copied < 0.45 and wrong > 0.8
    assert pitch_jaccard_distance(torch.zeros_like(quartet.violin), quartet.violin, RATE).min() > 0.8


def test_chroma_folds_octaves_and_names_the_class():
    for frequency_hz in (220.0, 440.0, 880.0):
        assert chroma(tone(frequency_hz), RATE)[0].sum(-1).argmax() == 9  # A, counted from C
    assert chroma_cosine(tone(880), tone(440), RATE).item() == pytest.approx(1, abs=0.01)
    assert chroma_cosine(tone(622.25), tone(440), RATE).item() < 0.05


def test_chroma_agrees_with_librosas(quartet: Quartet):
    ours = chroma(quartet.keyboard[:1], RATE)[0].sum(-1).numpy()
    theirs = librosa.feature.chroma_stft(
        y=quartet.keyboard[0].numpy(), sr=RATE, n_fft=4096, hop_length=512, tuning=0, norm=None
    )
    assert np.corrcoef(ours, theirs.sum(1))[0, 1] > 0.97


def test_chroma_of_silence():
    silence = torch.zeros_like(tone(440))
    assert chroma_cosine(silence, tone(440), RATE).item() == 0
    assert chroma_cosine(tone(440), silence, RATE).isnan()


def test_rests_of_the_target_do_not_count():
    target, preds = melody([60] * 4 + [0] * 4), melody([60] * 4 + [66] * 4)
    assert chroma_cosine(preds, target, RATE).item() > 0.85  # not 0.5


times = st.lists(st.floats(0, 10, allow_nan=False).map(lambda t: round(t, 3)), max_size=12, unique=True).map(
    sorted
)


@given(times, times.filter(len))
def test_onset_matching_is_that_of_mir_eval(preds, target):
    p, t = np.array(preds), np.array(target)
    # 50.5 ms, so that no pair of times on the millisecond grid lies exactly on the edge.
    expected = mir_eval.onset.f_measure(t, p, window=0.0505)[0] if preds else 0.0
    assert onset_f_measure(p, t, tolerance_s=0.0505) == pytest.approx(expected)


def test_onsets_of_a_tune_are_found_and_others_not():
    late = torch.nn.functional.pad(melody(TUNE), (RATE // 5, 0))[:, : 4 * RATE]
    assert onset_f1(0.3 * melody(TUNE), melody(TUNE), RATE).item() == pytest.approx(1)
    assert onset_f1(late, melody(TUNE), RATE).item() < 0.3
    assert onset_f1(melody(TUNE), torch.zeros(1, 4 * RATE), RATE).isnan()
