"""Every metric stands once in the registry, and everything that shows or measures metrics reads it."""

import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from inspect import getmembers, isclass
from io import StringIO

import pytest
import torch

import metrics
from experiments.leaderboard.ranking import rankings
from experiments.leaderboard.runs import TestedRun
from experiments.leaderboard.systems import join_runs
from experiments.leaderboard.terminal import print_rankings
from lightning_modules.layers.dsp.spectral import mr_stft_loss
from metrics.evaluation.accumulate import ExampleMean
from metrics.evaluation.suite import EvaluationSuite
from metrics.registry import METRICS, Metric, Needs, Stage, as_markdown, measured_in
from tests.conftest import ROOT
from tests.metrics.conftest import RATE, noise

PAGE = ROOT / "docs" / "metrics.md"
BEGIN, END = "<!-- metrics: made by metrics.registry.as_markdown -->\n\n", "\n<!-- end of metrics -->"
HEAVY = {
    *("lightning", "mlflow", "librosa", "numba", "matplotlib", "sklearn", "scipy", "onnxruntime"),
    *("torch", "torchaudio", "torchmetrics", "pesq", "visqol", "pesto"),
}


def modules_after(code: str) -> set[str]:
    """The heavy packages that a fresh interpreter has imported after ``code``."""
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return HEAVY & set(result.stdout.split())


@pytest.mark.parametrize("name", METRICS)
def test_an_entry_has_a_function_that_the_package_exports(name: str) -> None:
    function = METRICS[name].function
    assert callable(function) and getattr(metrics, function.__name__) is function
    assert function.__name__ in metrics.__all__


def test_the_public_face_is_whole_and_light() -> None:
    packages = ("metrics", "metrics.functional", "metrics.timbre_space", "metrics.evaluation")
    for package in map(import_module, packages):
        assert all(hasattr(package, name) for name in package.__all__)
    assert not modules_after(f"import {', '.join(packages)}")
    assert not modules_after("from metrics.evaluation import TestTable")
    assert modules_after("from metrics import lsd_mel_db, mr_stft, chroma_cosine") <= {"torch", "torchaudio"}
    assert modules_after("from metrics import EvaluationSuite") <= {"torch", "torchaudio", "scipy"}


def test_validation_measures_only_what_takes_batches_of_audio() -> None:
    assert {metric.needs for metric in measured_in(Stage.VALIDATION)} == {Needs.AUDIO}
    assert not any(metric.is_slow for metric in measured_in(Stage.SELECTION))


def test_the_table_of_the_documentation_is_current() -> None:
    table = PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0]
    assert table == as_markdown()


def peak_distance(preds: torch.Tensor, target: torch.Tensor, sample_rate: int) -> torch.Tensor:
    return (preds.abs().amax(-1) - target.abs().amax(-1)).abs()


def test_a_new_metric_is_a_function_and_one_entry(anchor_batch, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in set(METRICS) - {"chroma_cosine"}:  # the others only take time
        monkeypatch.delitem(METRICS, name)
    entry = Metric("peak_distance", False, "Difference of peaks", "", "peak", module=__name__)
    monkeypatch.setitem(METRICS, entry.name, entry)
    suite = EvaluationSuite.for_test(RATE, ["a", "keyboard", "b", "violin"])
    suite.update(0.5 * anchor_batch.target, anchor_batch)
    table = suite.compute()
    assert set(table.means()) == {"chroma_cosine", "peak_distance"}
    peak = anchor_batch.target.abs().amax(-1).mean().item()
    assert table.means()["peak_distance"] == pytest.approx(0.5 * peak)
    run = TestedRun("1", "ours", "demo", 0, "corpus", False, table)
    shown = StringIO()
    print_rankings(rankings(join_runs([run])), shown)
    assert "peak ↓" in shown.getvalue()
    assert "| `peak_distance` |  | ↓ | target |" in as_markdown()


def test_a_class_that_accumulates_knows_which_way_is_better() -> None:
    assert ExampleMean("si_sdr_db", sample_rate=RATE).higher_is_better is True
    assert ExampleMean("lsd_mel_db", sample_rate=RATE).higher_is_better is False
    assert ExampleMean(peak_distance, sample_rate=RATE).higher_is_better is None


def loss_terms() -> set[str]:
    """The names of all weights of all architectures' losses, which are the names of the terms in the log."""
    paths = (ROOT / "lightning_modules").glob("*/losses.py")
    modules = [import_module(f"lightning_modules.{path.parent.name}.losses") for path in paths]
    weights = [
        kind for module in modules for name, kind in getmembers(module, isclass) if name.endswith("Weights")
    ]
    return {field.name for kind in weights for field in fields(kind)}


def test_no_term_of_a_loss_has_the_name_of_a_metric() -> None:
    terms = loss_terms()
    assert {"stft", "adversarial", "spectral_magnitude"} <= terms
    assert not terms & set(METRICS)


def test_the_loss_hears_level_and_the_metric_of_like_name_does_not() -> None:
    target = noise(amplitude=1.0)
    softer = 10 ** (-12 / 20) * target
    assert metrics.mr_stft(softer, target, RATE).item() == pytest.approx(0, abs=1e-3)
    # Convergence 1 − 10^(−12/20), and 12 dB as a natural logarithm.
    expected = 1 - 10 ** (-12 / 20) + 12 / 20 * torch.log(torch.tensor(10.0)).item()
    assert mr_stft_loss(softer, target).item() == pytest.approx(expected, abs=0.02)
