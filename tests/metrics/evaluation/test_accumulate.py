import pytest
import torch

from metrics.evaluation.accumulate import ExampleMean
from metrics.functional.waveform import si_sdr_db
from tests.metrics.conftest import RATE, noise


def test_mean_over_unequal_batches_and_undefined_examples_are_counted_apart():
    metric = ExampleMean("si_sdr_db", sample_rate=RATE)
    target = torch.cat([noise(seed=i) for i in range(4)])
    preds = target + torch.cat([noise(amplitude=0.05 * (i + 1), seed=9 + i) for i in range(4)])
    preds[3] = 0
    metric.update(preds[:1], target[:1])
    metric.update(preds[1:], target[1:])
    expected = si_sdr_db(preds[:3], target[:3], RATE).mean().item()
    assert metric.compute().item() == pytest.approx(expected, abs=1e-5)
    assert metric.n_undefined.item() == 1
    metric.reset()
    assert metric.compute().isnan()
