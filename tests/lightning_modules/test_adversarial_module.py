"""A turn moves one player, through the other, and no further than allowed."""

import lightning as L
import pytest
import torch

from lightning_modules.adversarial_module import take_turn
from tests.trainers import quiet_trainer


class Players(L.LightningModule):
    """``b`` judges ``a``: the loss of a's turn is b·a, and its gradient b."""

    def __init__(self, max_norm=None):
        super().__init__()
        self.automatic_optimization = False
        self.a, self.b = (torch.nn.Parameter(torch.tensor(v)) for v in (1.0, 5.0))
        self.max_norm = max_norm
        self.gradients_of_b = []

    def training_step(self, batch, batch_idx):
        first, second = self.optimizers()
        take_turn(self, first, (self.b * self.a for _ in range(1)), self.max_norm)
        self.gradients_of_b.append(self.b.grad)
        take_turn(self, second, (self.b * self.a.detach() ** 2 for _ in range(1)))

    def configure_optimizers(self):
        return [torch.optim.SGD([parameter], lr=0.1) for parameter in (self.a, self.b)]


@pytest.mark.parametrize(("max_norm", "a_after"), [(None, 1.0 - 0.5), (2.0, 1.0 - 0.2)])
def test_turns_move_one_player_each_and_clip_the_gradient(max_norm, a_after, tmp_path):
    players = Players(max_norm)
    trainer = quiet_trainer(default_root_dir=tmp_path)
    trainer.fit(players, torch.utils.data.DataLoader([0.0]))
    assert players.a.item() == pytest.approx(a_after)
    assert players.gradients_of_b == [None]  # a's loss went through b and left nothing there
    assert players.b.item() == pytest.approx(5.0 - 0.1 * a_after**2)
    assert all(parameter.requires_grad for parameter in players.parameters())
    assert (trainer.fit_loop.total_batch_idx + 1, trainer.global_step) == (1, 2)
