"""Switches of a training: clipping, averages, compilation, and combinations that cannot be."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from callbacks.checkpointing import BestAndLast
from experiments.command_line.trainer_settings import averaging, compile_networks, stepping_settings
from lightning_modules.adversarial_module import take_turn
from lightning_modules.layers.single_precision import in_float32
from runtime.errors import UserError
from tests.switches import DEFAULTS
from tests.trainers import quiet_trainer

RATE, DECAY = 0.1, 0.8


class Pulled(L.LightningModule):
    """A weight that is pulled by a force of 3, by hand or by Lightning."""

    def __init__(self, by_hand: bool = True) -> None:
        super().__init__()
        self.automatic_optimization = not by_hand
        self.weight = nn.Parameter(torch.zeros(()))
        self.trained: list[float] = []
        self.validated: list[float] = []

    def training_step(self, batch, batch_idx):
        self.trained.append(self.weight.item())
        if self.automatic_optimization:
            return -3 * self.weight
        take_turn(self, self.optimizers(), (-3 * self.weight for _ in range(1)))
        return None

    def validation_step(self, batch, batch_idx):
        self.validated.append(self.weight.item())
        self.log("val/error", -self.weight)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=RATE)


@pytest.mark.parametrize(
    ("clip_val", "algorithm", "way"), [(None, "norm", 3), (2.0, "norm", 2), (0.5, "value", 0.5)]
)
@pytest.mark.parametrize("by_hand", [True, False])
def test_a_gradient_is_clipped_whoever_optimises(by_hand, clip_val, algorithm, way) -> None:
    module = Pulled(by_hand)
    asked = {**DEFAULTS, "gradient_clip_val": clip_val, "gradient_clip_algorithm": algorithm}
    trainer = quiet_trainer(**{**asked, **stepping_settings(asked, module)})
    trainer.fit(module, DataLoader([0.0]))
    assert module.weight.item() == pytest.approx(RATE * way)


@pytest.mark.parametrize("by_hand", [True, False])
def test_the_average_is_the_closed_form_and_is_validated_and_kept(by_hand: bool, tmp_path: Path) -> None:
    """Also after a resumption, which goes on with both."""

    def fit(module: Pulled, epochs: int, path: Path | None = None) -> Pulled:
        checkpoints = BestAndLast("val/error", dirpath=str(tmp_path))
        trainer = quiet_trainer(
            max_epochs=epochs, callbacks=[averaging(DECAY), checkpoints], enable_checkpointing=True
        )
        trainer.fit(module, *(DataLoader([0.0] * n) for n in (4, 1)), ckpt_path=path, weights_only=True)
        return module

    first = fit(Pulled(by_hand), 2)
    second = fit(Pulled(by_hand), 3, tmp_path / "last.ckpt")
    after = [RATE * 3 * (n + 1) for n in range(12)]
    averages = [after[0]]
    for weight in after[1:]:
        averages.append(DECAY * averages[-1] + (1 - DECAY) * weight)
    assert second.trained == pytest.approx(after[7:11])
    assert first.validated + second.validated == pytest.approx([averages[n] for n in (3, 7, 11)])
    for which in ("best", "last"):
        kept = torch.load(tmp_path / f"{which}.ckpt", weights_only=True)
        assert kept["state_dict"]["weight"].item() == pytest.approx(averages[11])
    assert all(a < b for a, b in pairwise(averages))


def test_what_needs_float32_gets_it_under_autocast() -> None:
    matrix = torch.rand(16, 16, generator=torch.Generator().manual_seed(0)).bfloat16()
    product, expected = in_float32(lambda a, b: a @ b), matrix.float() @ matrix.float()
    with torch.autocast("cpu", torch.bfloat16):
        assert (matrix @ matrix).dtype == torch.bfloat16
        assert torch.equal(product(matrix, b=matrix), expected)
    assert product(matrix.double(), matrix.double()).dtype == torch.float64


def test_compiled_networks_give_what_they_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    module = L.LightningModule()
    module.network = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    audio = torch.rand(3, 4)
    expected, names = module.network(audio), list(module.state_dict())
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="needs a C\\+\\+ compiler, and there is no no-such-compiler"):
        compile_networks(module)
    monkeypatch.delenv("CXX")
    try:
        compile_networks(module)
    except UserError as error:
        pytest.skip(str(error))
    torch.testing.assert_close(module.network(audio), expected)
    assert list(module.state_dict()) == names
