"""Schedules: a pure function of the batch clock, applied in a real training, refused where they are wrong."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback, Timer
from torch.utils.data import DataLoader

from callbacks.curriculum import AttributeSchedule, LearningRateSchedule, Schedule
from tests.trainers import quiet_trainer


class Weighted(L.LightningModule):
    """A line with a weight, which notes what the curriculum gave each batch."""

    def __init__(self, n_optimizers=1):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.weight = 1.0
        self.loss_weights = type("Weights", (), {"adversarial": 5.0})()
        self.automatic_optimization = n_optimizers == 1
        self.n_optimizers = n_optimizers
        self.seen = []

    def training_step(self, batch, batch_idx):
        rates = [o.param_groups[0]["lr"] for o in self.trainer.optimizers]
        self.seen.append((self.weight, self.loss_weights.adversarial, rates[0]))
        loss = self.layer(batch).square().mean()
        if self.automatic_optimization:
            return loss
        self.manual_backward(loss)
        for optimizer in self.optimizers():
            optimizer.step()
        return None

    def configure_optimizers(self):
        return [torch.optim.SGD(self.parameters(), lr=0.1) for _ in range(self.n_optimizers)]


def fit(module, *callbacks, ckpt_path=None, **settings):
    data = DataLoader(torch.ones(8, 1), batch_size=2)  # four batches an epoch
    trainer = quiet_trainer(**{"max_epochs": None, **settings}, callbacks=list(callbacks))
    trainer.fit(module, data, ckpt_path=ckpt_path)
    return module.seen


def test_values_lie_on_lines_between_the_points():
    schedule = AttributeSchedule("weight", [[0.2, 0.0], [0.4, 10.0], [0.8, 2.0]])
    values = [schedule.value_at(progress) for progress in (0, 0.2, 0.3, 0.4, 0.6, 0.8, 0.99, 5.0)]
    assert values == pytest.approx([0.0, 0.0, 5.0, 10.0, 6.0, 2.0, 2.0, 2.0])


def test_two_points_at_one_time_are_a_step():
    schedule = AttributeSchedule("weight", [[0.5, 0.0], [0.5, 1.0]])
    assert [schedule.value_at(progress) for progress in (0.4, 0.5, 0.6)] == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("cls", [Schedule, AttributeSchedule, LearningRateSchedule])
def test_every_hook_is_a_hook(cls):
    hooks = [name for name in dir(cls) if name.startswith("on_")]
    assert all(hasattr(Callback, name) for name in hooks)
    assert "on_train_batch_start" in hooks


def test_every_batch_gets_its_value_over_epochs():
    seen = fit(Weighted(), AttributeSchedule("weight", [[0.0, 0.0], [1.0, 1.0]]), max_epochs=2)
    assert [weight for weight, _, _ in seen] == pytest.approx([i / 8 for i in range(8)])


def test_a_nested_attribute_is_scheduled():
    seen = fit(
        Weighted(), AttributeSchedule("loss_weights.adversarial", [[0.5, 0.0], [0.5, 3.0]]), max_steps=4
    )
    assert [adversarial for _, adversarial, _ in seen] == [0.0, 0.0, 3.0, 3.0]


def test_the_clock_counts_batches_and_not_optimizer_steps():
    schedule = AttributeSchedule("weight", [[0.0, 0.0], [1.0, 1.0]])
    # Two optimizers make two steps a batch: 8 steps are 4 batches.
    seen = fit(Weighted(n_optimizers=2), schedule, max_steps=8)
    assert [weight for weight, _, _ in seen] == pytest.approx([0.0, 0.25, 0.5, 0.75])


def test_the_learning_rate_is_scaled_from_its_initial_value():
    seen = fit(Weighted(), LearningRateSchedule([[0.0, 1.0], [1.0, 0.2]]), max_steps=4)
    assert [rate for _, _, rate in seen] == pytest.approx([0.1, 0.08, 0.06, 0.04])


def test_resuming_goes_on_where_it_was(tmp_path):
    def schedules():
        return AttributeSchedule("weight", [[0.0, 0.0], [1.0, 1.0]], 8), LearningRateSchedule(
            [[0.0, 1.0], [1.0, 0.0]], 8
        )

    class SaveAtEnd(Callback):
        def on_train_end(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / "half.ckpt")

    first = fit(Weighted(), *schedules(), SaveAtEnd(), max_epochs=1)
    second = fit(Weighted(), *schedules(), max_epochs=2, ckpt_path=tmp_path / "half.ckpt")
    assert [weight for weight, _, _ in first + second] == pytest.approx([i / 8 for i in range(8)])
    assert [rate for _, _, rate in first + second] == pytest.approx([0.1 * (1 - i / 8) for i in range(8)])


def test_schedules_of_one_class_have_keys_of_their_own():
    a, b = (AttributeSchedule(name, [[0, 1]]) for name in ("weight", "loss_weights.adversarial"))
    assert a.state_key != b.state_key


def test_an_unknown_attribute_is_refused_before_training():
    module = Weighted()
    with pytest.raises(ValueError, match=r"'loss_weights\.typo', but Weighted has no such number"):
        fit(module, AttributeSchedule("loss_weights.typo", [[0, 1]]), max_steps=1)
    assert module.seen == []


def test_a_training_without_a_known_length_is_refused():
    with pytest.raises(ValueError, match=r"set trainer\.max_steps"):
        fit(Weighted(), AttributeSchedule("weight", [[0, 1]]), max_epochs=-1)


@pytest.mark.parametrize("points", [[], [[0.5, 1], [0.2, 2]], [[0.5]]])
def test_points_that_are_no_schedule_are_refused(points):
    with pytest.raises(ValueError, match="rising progress"):
        LearningRateSchedule(points)


class Pacemaker(Callback):
    """Lets training time pass by hand: every batch takes ``batch_s``."""

    def __init__(self, batch_s):
        self.batch_s = batch_s

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        timer = next(c for c in trainer.callbacks if isinstance(c, Timer))
        done = trainer.fit_loop.total_batch_idx
        timer.time_elapsed = lambda stage=None: done * self.batch_s


def test_a_training_that_time_will_end_follows_the_clock():
    schedule = AttributeSchedule("weight", [[0.0, 0.0], [1.0, 1.0]], n_batches=1000)
    seen = fit(Weighted(), Pacemaker(batch_s=5.0), schedule, max_steps=12, max_time={"seconds": 60})
    progress = [i / 12 for i in range(12)]  # 12 batches of 5 s
    expected = [max(i / 1000, (share - 0.1) / 0.9) for i, share in enumerate(progress)]
    assert [weight for weight, _, _ in seen] == pytest.approx(expected)


def test_a_training_that_batches_will_end_does_not_look_at_the_clock():
    schedule = AttributeSchedule("weight", [[0.0, 0.0], [1.0, 1.0]])
    seen = fit(Weighted(), Pacemaker(batch_s=5.0), schedule, max_steps=8, max_time={"seconds": 45})
    assert [weight for weight, _, _ in seen] == [i / 8 for i in range(8)]


def test_the_clock_of_a_resumed_training_goes_on(tmp_path):
    class SaveAtEnd(Callback):
        def on_train_end(self, trainer, pl_module):
            next(c for c in trainer.callbacks if isinstance(c, Timer))._offset += 30
            trainer.save_checkpoint(tmp_path / "half.ckpt")

    def schedule():
        return AttributeSchedule("weight", [[0.0, 0.0], [1.0, 1.0]], n_batches=10**6)

    fit(Weighted(), SaveAtEnd(), schedule(), max_epochs=1, max_time={"seconds": 60})
    seen = fit(
        Weighted(), schedule(), max_epochs=2, max_time={"seconds": 60}, ckpt_path=tmp_path / "half.ckpt"
    )
    assert 0.44 < seen[0][0] < 0.8  # half of the time was gone, (0.5 - 0.1) / 0.9 of what counts
