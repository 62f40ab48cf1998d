"""Range tests that can be computed by hand: on a parabola, descent is stable up to 2/curvature."""

from __future__ import annotations

import random

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from callbacks.plots.rate_curves import RateCurve, draw_curves
from callbacks.range_test import RangeTest, RangeTestError, RateRamp, has_diverged, run_range_test
from lightning_modules.adversarial_module import take_turn
from tests.trainers import quiet_trainer

SETTINGS = RangeTest(1e-4, 10.0, 120)


class Parabola(L.LightningModule):
    """Loss c·w²/2 from w = 1, so a step with rate r multiplies the loss by (1 − r·c)²."""

    def __init__(self, curvature: float) -> None:
        super().__init__()
        self.curvature = curvature
        self.weight = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
        self.batches: list[float] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.batches.append(float(batch))
        torch.rand(1), np.random.rand(), random.random()  # as dropout or augmentation would
        return self.curvature * self.weight**2 / 2

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.123)


class TwoPlayers(L.LightningModule):
    """A game: each player wants to be where the other is, and the second is a hundred times as nervous."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = torch.nn.Linear(1, 1, bias=False).double()
        self.discriminator = torch.nn.Linear(1, 1, bias=False).double()
        torch.nn.init.constant_(self.generator.weight, 1.0)
        torch.nn.init.constant_(self.discriminator.weight, -1.0)

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        first, second = self.optimizers()  # type: ignore[misc]
        g, d = self.generator.weight, self.discriminator.weight
        take_turn(self, first, ((g - d.detach()).square().sum() / 2 for _ in range(1)))
        take_turn(self, second, (100 * (d - g.detach()).square().sum() / 2 for _ in range(1)))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return [torch.optim.SGD(part.parameters(), lr=0.1) for part in (self.generator, self.discriminator)]


def make_trainer(ramp: L.Callback) -> L.Trainer:
    return quiet_trainer(max_epochs=-1, callbacks=[ramp])


def loader() -> DataLoader[float]:
    return DataLoader([float(i) for i in range(50)], batch_size=1, shuffle=True)  # type: ignore[arg-type]


def run(module: L.LightningModule, settings: RangeTest = SETTINGS) -> dict[str, RateCurve]:
    return run_range_test(module, loader(), make_trainer, settings)


@pytest.mark.parametrize("curvature", [1.0, 30.0])
def test_the_loss_of_a_parabola_rises_at_two_over_its_curvature(curvature: float) -> None:
    [curve] = run(Parabola(curvature)).values()
    expected = curvature / 2 * np.cumprod((1 - curve.rates * curvature) ** 2)
    np.testing.assert_allclose(curve.losses, expected, rtol=1e-9)
    falls = np.diff(curve.losses) < 0  # what the second rate and those after it did
    np.testing.assert_array_equal(falls, curve.rates[1:] < 2 / curvature)
    suggestion = curve.suggestion()
    assert suggestion is not None
    assert 0.01 * 2 / curvature < suggestion < 0.5 * 2 / curvature


def test_the_test_ends_when_the_loss_has_diverged() -> None:
    module = Parabola(30.0)
    [curve] = run(module).values()
    assert 2 / 30.0 < curve.rates[-1] < 10.0
    assert len(module.batches) == len(curve.rates) + 1


def test_every_player_is_tested_alone_and_all_together() -> None:
    curves = run(TwoPlayers())
    assert list(curves) == [
        "generator alone",
        "discriminator alone",
        "generator together",
        "discriminator together",
    ]
    # The other one stands still, so each is a parabola of its own.
    for name, curvature in (("generator alone", 1.0), ("discriminator alone", 100.0)):
        curve = curves[name]
        np.testing.assert_array_equal(np.diff(curve.losses) < 0, curve.rates[1:] < 2 / curvature)
    # Together the nervous one ends the test for both.
    assert curves["generator together"].rates[-1] < 0.5 < curves["generator alone"].rates[-1]


def test_nothing_happened() -> None:
    module = Parabola(1.0)
    module.weight.data.fill_(0.7)
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    expected = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    run(module)
    assert module.weight.item() == pytest.approx(0.7, abs=0)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected


def test_every_training_of_a_test_sees_the_same_batches() -> None:
    module = Parabola(1.0)
    run(module)
    first, module.batches = module.batches, []
    run(module)
    assert len(set(first)) == 50
    assert module.batches == first


def test_an_optimizer_that_never_steps_has_no_curve() -> None:
    class Waiting(TwoPlayers):
        def training_step(self, batch: torch.Tensor, batch_idx: int) -> None:
            losses = (self.generator.weight.square().sum() for _ in range(1))
            take_turn(self, self.optimizers()[0], losses)  # type: ignore[index]

    assert list(run(Waiting())) == ["generator alone", "generator together"]


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    rates = np.geomspace(1e-4, 1, 50)
    assert RateCurve(rates, np.linspace(1, 2, 50)).suggestion() is None


def test_the_steepest_slope_is_found_through_noise() -> None:
    rates = np.geomspace(1e-6, 1, 200)
    clean = 1 / (1 + (rates / 1e-3) ** 2)  # over log rate it is steepest where the power is 1
    noise = 0.05 * np.random.default_rng(0).standard_normal(200)
    suggestion = RateCurve(rates, clean + noise).suggestion()
    assert suggestion is not None
    assert 0.3e-3 < suggestion < 3e-3


def test_a_fall_after_an_explosion_suggests_nothing() -> None:
    rates = np.geomspace(1e-6, 1, 200)
    falling = 1 / (1 + rates / 1e-4)
    exploding = np.where((rates > 1e-3) & (rates < 1e-1), 3.0, 0.0)
    curve = RateCurve(rates, falling + exploding + 0.6 * (rates >= 1e-1))
    suggestion = curve.suggestion()
    assert suggestion is not None
    assert 1e-5 < suggestion < 1e-3


@pytest.mark.parametrize(
    ("losses", "diverged"),
    [
        ([2.0] * 10 + [1.0, 7.9, 7.9, 7.9], False),
        ([2.0] * 10 + [1.0, 8.1, 8.1, 8.1], True),
        ([2.0] * 10 + [1.0, 9.0, 9.0, 2.0], False),
        ([2.0] * 10 + [float("inf")], True),
        ([-1.0] * 10 + [-5.0, -5.0, -5.0], False),  # a critic's loss may be negative
        ([-1.0] * 10 + [3.0, 3.0, 3.0], True),
    ],
)
def test_a_loss_has_diverged_when_it_stays_far_above_its_start(losses: list[float], diverged: bool) -> None:
    assert has_diverged(losses) is diverged


def test_rates_grow_by_one_factor() -> None:
    rates = RangeTest(1e-4, 1.0, 13).rates()
    np.testing.assert_allclose(rates[1:] / rates[:-1], 10 ** (1 / 3))


@pytest.mark.parametrize("wrong", [{"lowest": 0.0}, {"highest": 1e-7}, {"n_batches": 3}])
def test_a_range_that_is_none_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RangeTestError, match="0 < lowest < highest"):
        RangeTest(**wrong)  # type: ignore[arg-type]


def test_the_picture_is_written_complete(tmp_path) -> None:
    rates = np.geomspace(1e-4, 1, 50)
    curves = {"a": RateCurve(rates, np.exp(-rates)), "b": RateCurve(rates, np.full(50, np.inf))}
    curves["b"].losses[:45] = 1.0
    draw_curves(curves, tmp_path / "curves.png")
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]
    assert RateRamp(rates).curves() == {}
