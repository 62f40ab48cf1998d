import argparse
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from datamodules.corpora.corpus import Corpus
from experiments import benchmark
from experiments.benchmarks import data, models, scan, stream
from experiments.command_line.cli import build_model

DDSP_PARAMETERS = 1_022_078
"""Of the network with two layers a stack (tone-transfer document)."""


def test_models_prints_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "models",
        "--experiment",
        "ddsp",
        "--scale",
        "paper",
        "--real-time-factor",
        "--format",
        "json",
    ]
    assert benchmark.main(arguments) == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["experiment"], row["scale"], row["network"]) == ("ddsp", "paper", "DDSPNetwork")
    assert row["parameters"] == DDSP_PARAMETERS
    assert row["real_time_factor"] > 0


def test_anchors_have_no_network() -> None:
    assert models.measure_model("copy", "demo", with_speed=False) is None


def test_parameters_are_those_that_train() -> None:
    layer = torch.nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    assert models.count_parameters(layer) == 6


def test_the_page_says_command_and_machine_and_has_every_row() -> None:
    rows = [{"what": "loading", "value": 51.25, "unit": "batches/s"}, {"what": "items", "value": 100000}]
    page = benchmark.to_markdown(data, rows, ["data", "--write"])
    assert "python -m experiments.benchmark data --write" in page and "torch 2." in page
    assert "| loading | 51.2 | batches/s |" in page and "| items | 100,000 |  |" in page


def test_a_large_corpus_starts_without_reading_audio(tmp_path: Path) -> None:
    data.write_large_corpus(tmp_path, n_items=80, n_samples=16000 * 3600)
    corpus = Corpus.open(tmp_path)
    assert len(corpus.items) == 80 and {item.split for item in corpus.items} == {"train", "val", "test"}
    assert sum(path.stat().st_blocks for path in tmp_path.rglob("*.wav")) == 0
    assert data.start_on(tmp_path).elapsed_s > 0


def test_every_benchmark_says_what_it_measures() -> None:
    parser = benchmark._parser()
    for name in benchmark.BENCHMARKS:
        options = parser.parse_args([name])
        assert isinstance(options, argparse.Namespace) and options.format == "table"


def test_all_scans_of_the_benchmark_agree() -> None:
    size = scan.Size(length=100, n_batch=2, n_channels=6, n_states=4)
    heard = {name: scan.implementation(name)(*scan.inputs(size)) for name in (*scan.REFERENCES, *scan.OURS)}
    for y in heard.values():
        torch.testing.assert_close(y, heard["sequential"], atol=1e-5, rtol=1e-4)


def test_ratios_are_over_the_faster_reference_and_the_parallel_package() -> None:
    measured = {
        "sequential": scan.Measured(9.0, 8.0, 1000.0),
        "mambapy": scan.Measured(9.0, 4.0, 2000.0),
        "chunked": scan.Measured(9.0, 2.0, 500.0),
        "compiled": scan.Measured(9.0, 0.1, 100.0),
    }
    rows = {row["implementation"]: row for row in scan.compared(8192, measured)}
    assert [rows[name]["speedup"] for name in measured] == [0.5, 1, 2, 40]
    assert [rows[name]["memory_ratio"] for name in measured] == [0.5, 1, 0.25, 0.05]
    assert [name for name in rows if rows[name]["best"]] == ["compiled"]
    [alone, _] = scan.compared(100, {name: measured[name] for name in scan.OURS})
    assert alone["speedup"] is None and alone["memory_ratio"] is None


def test_a_click_measures_the_latency_that_a_stream_promises() -> None:
    module: Any = build_model("mambamuse_causal", "demo")
    noise = stream.noise(1600)
    assert stream.click_latency(module) == module.stream(noise).latency == 127
