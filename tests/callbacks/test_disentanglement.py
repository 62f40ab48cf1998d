"""The disentanglement callback reads from embeddings what was put there."""

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from callbacks.disentanglement import PICTURE, Disentanglement, LabelledSlices, draw, notes, readings
from lightning_modules.disentangled import DisentangledModule
from tests.lightning_modules.disentangled.conftest import INSTRUMENTS, build, pair_batch, tone
from tests.trainers import quiet_trainer

__all__ = ["pair_batch"]  # a fixture


def made_up(n, seed, leak=0.0):
    """Styles that know the class only, content that knows the note, and as much of the class as ``leak``."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.arange(n) % 2
    midi = torch.randint(60, 64, (n, 8), generator=generator)
    midi[0, 0] = -1
    content = 0.1 * torch.randn(n, 8, 6, generator=generator)
    content[..., 0] += midi
    content[..., 1] += leak * classes[:, None]
    styles = torch.randn(n, 4, generator=generator)
    styles[:, 2] += 9 * classes
    return LabelledSlices(content, styles, classes, midi)


def test_embeddings_that_are_apart_read_as_such():
    read = readings(made_up(60, 0), made_up(60, 1))
    assert read["instrument_from_style"] > 0.95 and read["pitch_from_content"] > 0.95
    assert read["instrument_by_chance"] == 0.5
    assert read["instrument_from_content"] < 0.7 and read["instrument_from_content_patches"] < 0.6
    assert read["pitch_from_style"] < read["pitch_by_chance"] + 0.1 < 0.45
    assert read["style_content_hsic"] < 0.2


def test_content_that_knows_the_instrument_is_found_out():
    read, clean = (readings(made_up(60, 0, leak), made_up(60, 1, leak)) for leak in (3.0, 0.0))
    assert read["instrument_from_content"] > 0.95 and read["instrument_from_content_patches"] > 0.95
    assert read["style_content_hsic"] > clean["style_content_hsic"] + 0.05


def test_notes_are_those_that_sound():
    module = build()
    slices = torch.cat([tone(440.0), 0 * tone(440.0)])
    found = notes(torch.nn.functional.pad(slices, (0, 4000)), module, n_patches=8)
    assert found.shape == (2, 8) and (found[1] == -1).all()
    assert set(found[0].tolist()) <= {69, -1} and 69 in found[0].tolist()


class Tones(L.LightningDataModule):
    """The same notes for training and test, a batch each, dealt to the processes in turn."""

    corpus = corpus_root = None

    def __init__(self, batch):
        super().__init__()
        self.batches = [batch.examples(slice(index, index + 1)) for index in range(len(batch.piece))]

    def train_dataloader(self):
        return DataLoader(self.batches, batch_size=None)

    def test_dataloader(self):
        share = slice(self.trainer.global_rank, None, self.trainer.world_size)
        return DataLoader(self.batches[share], batch_size=None)


class Unmeasured(DisentangledModule):
    """Leaves out the metrics of the suite, which are not the subject."""

    def on_test_epoch_start(self):
        pass

    def test_step(self, batch, batch_idx):
        pass

    def on_test_epoch_end(self):
        pass


class Keep(L.Callback):
    """The first process writes what was logged."""

    def __init__(self, path):
        self.path = path

    def on_test_end(self, trainer, pl_module):
        if trainer.is_global_zero:
            torch.save({name: value.item() for name, value in trainer.callback_metrics.items()}, self.path)


def logged_at_the_test(batch, path, **settings):
    module = build()
    module.__class__ = Unmeasured
    trainer = quiet_trainer(callbacks=[Disentanglement(4), Keep(path)], **settings)
    trainer.test(module, datamodule=Tones(batch), verbose=False)
    return torch.load(path, weights_only=True)


def test_readings_are_logged_at_the_test(pair_batch, tmp_path):
    logged = logged_at_the_test(pair_batch, tmp_path / "logged.pt")
    assert set(readings(made_up(9, 0), made_up(9, 1))) == {name.removeprefix("test/") for name in logged}
    assert logged["test/instrument_by_chance"] == 0.5
    assert logged == logged_at_the_test(pair_batch, tmp_path / "again.pt")


def test_two_processes_read_what_one_does(pair_batch, tmp_path):
    one = logged_at_the_test(pair_batch, tmp_path / "one.pt")
    two = logged_at_the_test(pair_batch, tmp_path / "two.pt", devices=2, strategy="ddp_fork")
    assert two == pytest.approx(one, rel=1e-5)


def test_the_picture_has_a_map_of_both(tmp_path):
    draw(made_up(20, 0), INSTRUMENTS, tmp_path / PICTURE)
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
