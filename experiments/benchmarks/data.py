"""Speed of building corpora, loading batches and starting to train."""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

from experiments.benchmarks.protocol import Row
from experiments.benchmarks.timing import timed
from runtime.arguments import positive_int

TITLE = "Speed of the data"
EXPLANATION = (
    "Building (rendering, resampling, writing; scores already read; the start of processes included), pitch "
    "tracking and loudness, batches of 16 × 4 s from a warm cache, and the start of a training on a built "
    "corpus and on one of 100,000 items, besides imports. Corpora are made for the measurement and removed. "
    "Where other programs share the cores, the figures per CPU second are the ones to compare."
)
BATCHES = 200
ITEMS = 100_000
ITEM_LENGTHS_S = (5, 500)
"""Two lengths of the items of the large corpus, in seconds: memory must not depend on them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this benchmark."""
    parser.add_argument("--size", default="demo", help="size of the embedded scores to render")
    parser.add_argument("--items", type=positive_int, default=ITEMS, help="items of the large corpus")
    parser.add_argument(
        "--batches", type=positive_int, default=BATCHES, help="batches that a loader is timed over"
    )


def measure(options: argparse.Namespace) -> list[Row]:
    """Measure one row for each figure."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            *_building(Path(folder), options.size),
            *_loading(Path(folder), options.size, options.batches),
            *_starting(Path(folder), options.items),
        ]
    return rows


def _row(what: str, value: float, unit: str, demanded: str = "") -> Row:
    return {"what": what, "value": round(value, 3), "unit": unit, "demanded": demanded}


def _source(size: str, seed: int) -> Any:
    from datamodules.corpora.rendering import RenderedCorpus
    from datamodules.scores.embedded import EmbeddedScores

    return RenderedCorpus(EmbeddedScores(size), seed=seed)  # type: ignore[arg-type]


def _building(folder: Path, size: str) -> Iterator[Row]:
    # Scores are read once and cached by the first, smaller build; seeds make the requests different.
    from datamodules.corpora.rendering import RenderedCorpus
    from datamodules.scores.embedded import EmbeddedScores

    RenderedCorpus(EmbeddedScores(size), instruments=["flute", "violin"]).prepare(folder, 16000)  # type: ignore[arg-type]
    for seed, workers in enumerate((1, os.cpu_count() or 1)):
        with timed() as timing:
            corpus = _source(size, seed).prepare(folder, 16000, workers=workers)
        audio_s = sum(item.n_samples for item in corpus.items) / corpus.sample_rate
        name = "one process" if workers == 1 else f"{workers} processes"
        what, demanded = f"building {audio_s / 60:.0f} min of audio, {name}", "≥ 70" if workers == 1 else ""
        yield _row(what, audio_s / timing.clock_s, "× real time", demanded)
        if workers == 1:
            yield _row(what, audio_s / timing.cpu_s, "× real time per CPU second", demanded)


def _loading(folder: Path, size: str, batches: int) -> Iterator[Row]:
    from datamodules import data_module

    kinds = ("PairedDataModule", "UnpairedDataModule", "OneShotDataModule", "FeatureDataModule")
    source = _source(size, seed=0)
    for kind in kinds:
        choice = {"target_instruments": ["violin"]} if kind == "FeatureDataModule" else {}
        arguments = dict(corpora_dir=str(folder), batches_per_epoch=batches, **choice)
        with timed() as timing:
            getattr(data_module, kind)(source, **arguments).prepare_data()
        if kind == "FeatureDataModule":
            items = _open(source, folder, arguments, kind).corpus.select("train", "monophonic", "violin")
            audio_s = sum(item.n_samples for item in items) / 16000
            name = f"features of {audio_s / 60:.0f} min, {os.cpu_count()} processes"
            yield _row(name, audio_s / timing.clock_s, "× real time")
        for workers in (0, os.cpu_count() or 1):
            loader = _open(source, folder, arguments | {"num_workers": workers}, kind).train_dataloader()
            for _ in itertools.islice(loader, batches // 4):  # starts workers, warms the page cache
                pass
            with timed() as timing:
                for _ in loader:
                    pass
            yield _row(f"{kind}, {workers} workers", batches / timing.clock_s, "batches/s", "≥ 50")
            if workers == 0:
                yield _row(f"{kind}, {workers} workers", batches / timing.cpu_s, "batches per CPU second")
        with timed() as timing:
            module = getattr(data_module, kind)(source, **arguments)
            module.prepare_data()
            module.setup()
            next(iter(module.train_dataloader()))
            len(module.val_dataloader())
        yield _row(f"{kind}, start to first batch", timing.clock_s, "s", "≤ 3")


def _open(source: Any, folder: Path, arguments: dict[str, Any], kind: str) -> Any:
    from datamodules import data_module

    module = getattr(data_module, kind)(source, **arguments)
    module.setup()
    return module


def _starting(folder: Path, n_items: int) -> Iterator[Row]:
    for seconds in ITEM_LENGTHS_S:
        root = folder / f"large-{seconds}"
        with timed() as timing:
            write_large_corpus(root, n_items, seconds * 16000)
        yield _row(f"indexing {n_items:,} items of {seconds} s (empty files)", timing.clock_s, "s")
        # In a fresh process, so that its peak memory is its own.
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            start_s, cpu_s, resident_mib = pool.submit(start_on, root).result()
        yield _row(f"start to first batch, {n_items:,} items of {seconds} s", start_s, "s", "≤ 3")
        yield _row(f"start to first batch, {n_items:,} items of {seconds} s", cpu_s, "CPU seconds", "≤ 3")
        yield _row(f"memory of that start, {seconds} s an item", resident_mib, "MiB", "independent of length")


def write_large_corpus(root: Path, n_items: int, n_samples: int) -> None:
    """Write a complete corpus of ``n_items`` sparse files, with real sizes and samples of 0."""
    from datamodules.corpora.building import file_bytes
    from datamodules.corpora.corpus import SCHEMA_VERSION, Item, write_index

    names = ("flute", "guitar_acoustic", "trumpet", "violin")
    items = []
    for number in range(n_items):
        piece, instrument = divmod(number, len(names))
        split = "train" if piece % 10 < 8 else "val" if piece % 10 == 8 else "test"
        items.append(
            Item(split, "monophonic", f"piece{piece:06d}", names[instrument], "default", n_samples, -23.0)
        )
    for item in items:
        path = root / "audio" / f"{item.stem}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(file_bytes(item))
    write_index(root / "index.csv", items)
    manifest = {"schema_version": SCHEMA_VERSION, "address": "large", "sample_rate": 16000}
    manifest |= {"minutes": n_items * n_samples / 16000 / 60, "licences": [], "notes": []}
    (root / "manifest.json").write_text(json.dumps(manifest))


class Start(NamedTuple):
    """Time and memory of the start of a training, besides imports."""

    elapsed_s: float
    cpu_s: float
    resident_mib: float


def start_on(root: Path) -> Start:
    """Start a training on the corpus in ``root``, up to the first batch."""
    from datamodules.corpora.building import CorpusSource, is_intact
    from datamodules.corpora.corpus import Corpus, CorpusError
    from datamodules.data_module import OneShotDataModule

    class Prepared(CorpusSource):
        """A corpus that is there already."""

        name = "large"
        instruments = ("flute", "guitar_acoustic", "trumpet", "violin")

        def folder(self, corpora_dir: str | Path, sample_rate: int) -> Path:
            return root

        def describe(self, hashes: Any) -> dict[str, Any]:
            return {}

        def plan(self, *request: Any) -> Any:
            raise CorpusError(f"{root} is not complete.")

        def licences(self) -> list[str]:
            return []

        def prepare(self, *request: Any, **how: Any) -> Corpus:
            if not is_intact(root):
                raise CorpusError(f"{root} is not complete.")
            return Corpus.open(root)

    gc.collect()
    before_mib = _resident_mib()
    with timed() as timing:
        module = OneShotDataModule(Prepared())
        module.prepare_data()
        module.setup()
        next(iter(module.train_dataloader()))
        len(module.val_dataloader())
    return Start(timing.clock_s, timing.cpu_s, _resident_mib() - before_mib)


def _resident_mib() -> float:
    import psutil

    return psutil.Process().memory_info().rss / 2**20
