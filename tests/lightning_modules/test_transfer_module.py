"""An evaluation finds its timbre space prepared, and the rooms' public names are the classes themselves."""

from __future__ import annotations

import shutil
from pathlib import Path

import lightning as L
import pytest
import torch

import lightning_modules
from datamodules.corpora.rendering import RenderedCorpus
from datamodules.data_module import PairedDataModule
from lightning_modules.anchors import Copy
from metrics.timbre_space.training import find_timbre_space
from tests.conftest import TINY_SAMPLE_RATE
from tests.trainers import quiet_trainer


class SpaceAtTheStart(L.Callback):
    """Notes whether the timbre space was there when a validation began."""

    found = False

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.found = find_timbre_space(pl_module.corpus_root) is not None


def test_a_timbre_space_is_made_before_the_evaluation_begins(
    tiny_corpora_dir: Path, tiny_source: RenderedCorpus, tiny_corpus, tmp_path: Path, capfd
) -> None:
    folder = tiny_corpus.root.relative_to(tiny_corpora_dir)
    shutil.copytree(tiny_corpus.root, tmp_path / folder, ignore=shutil.ignore_patterns("evaluation"))
    pair = {"source_instruments": ["keyboard_acoustic"], "target_instruments": ["violin"]}
    clips = {"val_clips": 1, "val_clip_s": 1.0, "reference_s": 1.0}
    data = PairedDataModule(tiny_source, TINY_SAMPLE_RATE, str(tmp_path), **pair, **clips)
    start = SpaceAtTheStart()
    trainer = quiet_trainer(callbacks=[start])
    trainer.validate(Copy(TINY_SAMPLE_RATE, data.instruments), datamodule=data, verbose=False)
    assert start.found
    assert "Training the timbre space" in capfd.readouterr().err
    assert "val/joint_score" in trainer.callback_metrics  # a validation that stands alone is thorough
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    checkpoint = torch.load(tmp_path / "a.ckpt", weights_only=True)
    assert (
        checkpoint["corpus_db"] == tiny_source.loudness_db
    )  # to which a source is brought before a transfer
    loaded = Copy(TINY_SAMPLE_RATE)
    loaded.on_load_checkpoint({"corpus_db": -30.0})
    assert loaded.corpus_db == -30.0


@pytest.mark.parametrize("name", lightning_modules.__all__)
def test_public_names_are_there(name: str) -> None:
    exported = getattr(lightning_modules, name)
    assert name in ("anchors", "layers") or exported.__name__ == name
