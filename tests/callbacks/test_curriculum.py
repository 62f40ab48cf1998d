"""Curricula: a pure function of the batch clock, applied in a real training, refused where they are wrong."""

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback, Timer
from torch.utils.data import DataLoader

from callbacks.curriculum import Curriculum, Schedule
from experiments.command_line.cli import SuiteCLI
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


def rising(n_batches=None):
    return Curriculum({"weight": [[0.0, 0.0], [1.0, 1.0]]}, n_batches)


def test_values_lie_on_lines_between_the_points():
    schedule = Schedule("weight", [[0.2, 0.0], [0.4, 10.0], [0.8, 2.0]])
    values = [schedule.value_at(progress) for progress in (0, 0.2, 0.3, 0.4, 0.6, 0.8, 0.99, 5.0)]
    assert values == pytest.approx([0.0, 0.0, 5.0, 10.0, 6.0, 2.0, 2.0, 2.0])


def test_two_points_at_one_time_are_a_step():
    schedule = Schedule("weight", [[0.5, 0.0], [0.5, 1.0]])
    assert [schedule.value_at(progress) for progress in (0.4, 0.5, 0.6)] == [0.0, 1.0, 1.0]


def test_every_batch_gets_its_value_over_epochs():
    seen = fit(Weighted(), rising(), max_epochs=2)
    assert [weight for weight, _, _ in seen] == pytest.approx([i / 8 for i in range(8)])


def test_what_a_batch_gets_is_logged():
    trainer = quiet_trainer(callbacks=[Curriculum({"weight": [[0, 3]], "learning_rate": [[0, 0.5]]})])
    trainer.fit(Weighted(), DataLoader(torch.ones(4, 1)))
    assert trainer.callback_metrics == {"curriculum/weight": 3.0, "curriculum/learning_rate": 0.5}


def test_a_nested_attribute_is_scheduled():
    seen = fit(Weighted(), Curriculum({"loss_weights.adversarial": [[0.5, 0.0], [0.5, 3.0]]}), max_steps=4)
    assert [adversarial for _, adversarial, _ in seen] == [0.0, 0.0, 3.0, 3.0]


def test_the_clock_counts_batches_and_not_optimizer_steps():
    # Two optimizers make two steps a batch: 8 steps are 4 batches.
    seen = fit(Weighted(n_optimizers=2), rising(), max_steps=8)
    assert [weight for weight, _, _ in seen] == pytest.approx([0.0, 0.25, 0.5, 0.75])


def test_the_learning_rate_is_scaled_from_its_initial_value():
    seen = fit(Weighted(), Curriculum({"learning_rate": [[0.0, 1.0], [1.0, 0.2]]}), max_steps=4)
    assert [rate for _, _, rate in seen] == pytest.approx([0.1, 0.08, 0.06, 0.04])


def test_resuming_goes_on_where_it_was(tmp_path):
    def curriculum():
        return Curriculum({"weight": [[0.0, 0.0], [1.0, 1.0]], "learning_rate": [[0.0, 1.0], [1.0, 0.0]]}, 8)

    class SaveAtEnd(Callback):
        def on_train_end(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / "half.ckpt")

    first = fit(Weighted(), curriculum(), SaveAtEnd(), max_epochs=1)
    second = fit(Weighted(), curriculum(), max_epochs=2, ckpt_path=tmp_path / "half.ckpt")
    assert [weight for weight, _, _ in first + second] == pytest.approx([i / 8 for i in range(8)])
    assert [rate for _, _, rate in first + second] == pytest.approx([0.1 * (1 - i / 8) for i in range(8)])


def test_null_drops_a_schedule_also_where_its_name_is_nested():
    points = {"weight": [[0, 1]], "loss_weights.adversarial": [[0, 1]], "learning_rate": None}
    assert set(Curriculum(points).schedules) == {"weight", "loss_weights.adversarial"}
    # So jsonargparse reads --curriculum.points.loss_weights.adversarial null.
    assert set(Curriculum({**points, "loss_weights": {"adversarial": None}}).schedules) == {"weight"}
    assert Curriculum().schedules == {}


def built(*options):
    return SuiteCLI(list(options), run=False).config_init.curriculum.schedules


def test_layers_change_and_drop_single_schedules(tmp_path):
    """The experiment ddsp has three schedules."""
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("curriculum: {points: {synthesizer.reverb.wet: null, learning_rate: [[0, 1], [1, 0]]}}")
    second.write_text("curriculum: {points: {spectral_loss.n_scales: [[0, 3]]}}")
    layers = ["--config", "ddsp", "--config", str(first), "--config", str(second)]
    found = {name: schedule.points for name, schedule in built(*layers).items()}
    assert found == {"spectral_loss.n_scales": [[0, 3]], "learning_rate": [[0, 1], [1, 0]]}
    dropped = ["--curriculum.points.learning_rate", "null"]
    assert set(built(*layers, *dropped)) == {"spectral_loss.n_scales"}
    dropped += ["--curriculum.points.spectral_loss.n_scales", "null"]
    assert built(*layers, *dropped) == {}


def test_an_unknown_attribute_is_refused_before_training():
    module = Weighted()
    with pytest.raises(ValueError, match=r"'loss_weights\.typo', but Weighted has no such number"):
        fit(module, Curriculum({"loss_weights.typo": [[0, 1]]}), max_steps=1)
    assert module.seen == []


def test_a_training_without_a_known_length_is_refused():
    with pytest.raises(ValueError, match=r"set trainer\.max_steps"):
        fit(Weighted(), Curriculum({"weight": [[0, 1]]}), max_epochs=-1)


@pytest.mark.parametrize("points", [[], [[0.5, 1], [0.2, 2]], [[0.5]], [[0.5, "much"]], [1, 2], 3, "much"])
def test_points_that_are_no_schedule_are_refused(points):
    with pytest.raises(ValueError, match=r"points of 'learning_rate' must be .* rising progress"):
        Curriculum({"learning_rate": points})


class Pacemaker(Callback):
    """Lets training time pass by hand: every batch takes ``batch_s``."""

    def __init__(self, batch_s):
        self.batch_s = batch_s

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        timer = next(c for c in trainer.callbacks if isinstance(c, Timer))
        done = trainer.fit_loop.total_batch_idx
        timer.time_elapsed = lambda stage=None: done * self.batch_s


def test_a_training_that_time_will_end_follows_the_clock():
    seen = fit(Weighted(), Pacemaker(batch_s=5.0), rising(1000), max_steps=12, max_time={"seconds": 60})
    progress = [i / 12 for i in range(12)]  # 12 batches of 5 s
    expected = [max(i / 1000, (share - 0.1) / 0.9) for i, share in enumerate(progress)]
    assert [weight for weight, _, _ in seen] == pytest.approx(expected)


def test_a_training_that_batches_will_end_does_not_look_at_the_clock():
    seen = fit(Weighted(), Pacemaker(batch_s=5.0), rising(), max_steps=8, max_time={"seconds": 45})
    assert [weight for weight, _, _ in seen] == [i / 8 for i in range(8)]


def test_the_clock_of_a_resumed_training_goes_on(tmp_path):
    class SaveAtEnd(Callback):
        def on_train_end(self, trainer, pl_module):
            next(c for c in trainer.callbacks if isinstance(c, Timer))._offset += 30
            trainer.save_checkpoint(tmp_path / "half.ckpt")

    fit(Weighted(), SaveAtEnd(), rising(10**6), max_epochs=1, max_time={"seconds": 60})
    seen = fit(
        Weighted(), rising(10**6), max_epochs=2, max_time={"seconds": 60}, ckpt_path=tmp_path / "half.ckpt"
    )
    assert 0.44 < seen[0][0] < 0.8  # half of the time was gone, (0.5 - 0.1) / 0.9 of what counts
