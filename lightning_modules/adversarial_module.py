"""Training of a generator against a discriminator, written once for every GAN.

Each player has an optimizer of its own. So Lightning's automatic optimisation is off, and with it Lightning's
accumulation and clipping of gradients: `Stepping` says what the trainer wants of both, and
`AdversarialModule` does it.

The length of a GAN's training is given in epochs (``trainer.max_epochs`` times the data's
``batches_per_epoch``), because Lightning's ``max_steps`` and ``global_step`` count the steps of every
optimizer; the clock is ``trainer.fit_loop.total_batch_idx``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import lightning as L
from lightning.pytorch.cli import OptimizerCallable
from lightning.pytorch.core.optimizer import LightningOptimizer
from torch import Tensor, nn
from torch.optim import Optimizer

from datamodules.batch import TransferBatch
from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.transfer_module import TimbreTransferModule

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ForwardT = TypeVar("ForwardT")
"""What a forward pass gives: a type of each architecture's own."""


class Stepping(L.Callback):
    """The trainer's settings of accumulation and clipping, for modules that optimise by hand.

    Lightning refuses ``accumulate_grad_batches`` and ``gradient_clip_val`` for such modules, so the trainer
    has them in the form of this callback.

    Args:
        n_batches: number of batches of which one step is made.
        clip_val: norm that gradients are scaled down to; ``None`` leaves it to the architecture.
        clip_algorithm: ``norm``, or ``value`` to clamp every gradient by itself.
    """

    def __init__(
        self, n_batches: int = 1, clip_val: float | None = None, clip_algorithm: str = "norm"
    ) -> None:
        self.n_batches = n_batches
        self.clip_val = clip_val
        self.clip_algorithm = clip_algorithm

    @classmethod
    def of(cls, trainer: L.Trainer) -> Stepping:
        """The one among the trainer's callbacks, or one that changes nothing."""
        callbacks: list[L.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        return next((callback for callback in callbacks if isinstance(callback, cls)), cls())


def batches_a_step(trainer: L.Trainer) -> int:
    """Number of batches of which the trainer's module makes one step, whoever optimises it."""
    return max(trainer.accumulate_grad_batches, Stepping.of(trainer).n_batches)


@dataclass(frozen=True)
class Player(Generic[ForwardT]):
    """The generator or the discriminator of a `Game`.

    Args:
        name: which of ``losses`` it minimises.
        parameters: gives what it changes for that.
        optimizer: makes its optimizer.
        losses: forward pass → all that is logged of its losses, among them the one called ``name``.
        every: number of steps of which it learns in one.
        max_norm: norm that its gradients are scaled down to where `Stepping` has no limit.
    """

    name: str
    parameters: Callable[[], Iterable[nn.Parameter]]
    optimizer: OptimizerCallable
    losses: Callable[[ForwardT], Mapping[str, Tensor]]
    every: int = 1
    max_norm: float | None = None


@dataclass(frozen=True)
class Game(Generic[ForwardT]):
    """A generator and a discriminator, whose losses are computed from the same forward pass.

    Args:
        forward_batch: batch → what the generator makes of it, and what both players compare that with.
        generator: makes the forward pass.
        discriminator: judges it; ``None`` where the generator learns from its other terms alone.
        discriminator_first: which of the two has its turn first in every step.
        is_on: whether anyone learns at present; else the game costs no time, and nothing of it is logged.
        is_judged: whether the discriminator learns, too.
    """

    forward_batch: Callable[[TransferBatch], ForwardT]
    generator: Player[ForwardT]
    discriminator: Player[ForwardT] | None = None
    discriminator_first: bool = True
    is_on: bool = True
    is_judged: bool = True

    @property
    def players(self) -> list[Player[ForwardT]]:
        """Both players, or the only one; their optimizers are in this order."""
        return [self.generator, *([self.discriminator] if self.discriminator else [])]

    @property
    def turns(self) -> list[Player[ForwardT]]:
        """The players that learn at present, in the order of their turns."""
        players = self.players if self.is_judged else [self.generator]
        return [] if not self.is_on else players[::-1] if self.discriminator_first else players


class ForwardPasses(Generic[ForwardT]):
    """The forward passes of the batches of one step, from which both players of a game learn.

    The forward pass of a single batch is made once, and its graph serves both players. Graphs of several
    batches would not fit into memory, so each is made when its turn comes.

    Args:
        game: makes the forward passes.
        batches: all batches of the step.
    """

    def __init__(self, game: Game[ForwardT], batches: Sequence[TransferBatch]) -> None:
        self._game = game
        self._batches = batches
        self._made = [game.forward_batch(batches[0])] if len(batches) == 1 and game.turns else []

    def losses(self, player: Player[ForwardT]) -> Iterator[Mapping[str, Tensor]]:
        """Compute a player's losses on each batch; each is needed before the next is computed."""
        made = []
        for forward in self._made or map(self._game.forward_batch, self._batches):
            if player is self._game.generator:
                made.append(forward)  # its graph will be gone, and its values serve a later discriminator
            yield player.losses(forward)
        self._made = self._made or made


class AdversarialModule(TimbreTransferModule, Generic[ForwardT]):
    """A timbre transfer whose generator learns from its own terms and from a discriminator.

    An architecture implements `transfer`, `forward_batch`, `generator_terms` and `discriminator_terms`, and
    sets the attribute ``discriminator``.

    Args:
        sample_rate: see `TimbreTransferModule`.
        instruments: see `TimbreTransferModule`.
        loss_weights: weight of each of the generator's terms.
        generator_optimizer: makes the optimizer of the generator.
        discriminator_optimizer: makes the optimizer of the discriminator.
    """

    discriminator: nn.Module | None
    discriminator_first: bool = True
    """Which of the two players has its turn first in every step."""
    generator_max_norm: float | None = None
    """The norm that gradients of the generator are scaled down to, unless the trainer has a limit."""
    discriminator_max_norm: float | None = None
    """The same for gradients of the discriminator."""

    def __init__(
        self,
        sample_rate: int,
        instruments: Sequence[str],
        loss_weights: DataclassInstance,
        generator_optimizer: OptimizerCallable,
        discriminator_optimizer: OptimizerCallable,
    ) -> None:
        super().__init__(sample_rate, instruments, loss_weights)
        self.automatic_optimization = False
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self._waiting: list[TransferBatch] = []

    # ------------------------------------------------------------------ what an architecture implements

    def forward_batch(self, batch: TransferBatch) -> ForwardT:
        """Compute what the generator makes of a batch, and all that both players compare it with.

        Raises:
            NoPairsError: the losses need targets, and the batch has none (`targets_of`).
        """
        raise NotImplementedError

    def generator_terms(self, forward: ForwardT) -> Mapping[str, Tensor]:
        """Compute every term of the generator's loss, an unweighted scalar under the name of its weight."""
        raise NotImplementedError

    def discriminator_terms(self, forward: ForwardT) -> Mapping[str, Tensor]:
        """Compute the discriminator's loss, called ``discriminator``, and what is to be logged beside it.

        What the generator made must be detached.
        """
        raise NotImplementedError

    def generator_parameters(self) -> Iterable[nn.Parameter]:
        """The parameters that the generator changes; by default all but the discriminator's."""
        return [p for name, p in self.named_parameters() if not name.startswith("discriminator.")]

    @property
    def is_judged(self) -> bool:
        """Whether the discriminator learns, which would be wasted while its judgement has no weight."""
        return True

    def games(self) -> Sequence[Game[Any]]:
        """All games of a step; by default the one of generator and discriminator."""
        generator = Player(
            "generator",
            self.generator_parameters,
            self.generator_optimizer,
            lambda forward: with_total("generator", self.generator_terms(forward), self.loss_weights),
            max_norm=self.generator_max_norm,
        )
        if self.discriminator is None:
            return [Game(self.forward_batch, generator)]
        discriminator = Player(
            "discriminator",
            self.discriminator.parameters,
            self.discriminator_optimizer,
            self.discriminator_terms,
            max_norm=self.discriminator_max_norm,
        )
        first, is_judged = self.discriminator_first, self.is_judged
        return [Game(self.forward_batch, generator, discriminator, first, is_judged=is_judged)]

    # ------------------------------------------------------------------ training

    def configure_optimizers(self) -> list[Optimizer]:
        """Make an optimizer for each player."""
        return [player.optimizer(player.parameters()) for game in self.games() for player in game.players]

    def losses(self, batch: TransferBatch) -> Mapping[str, Tensor]:
        """Compute all that is logged of a batch: the losses of the players that learn at present."""
        losses: dict[str, Tensor] = {}
        for game in self.games():
            passes = ForwardPasses(game, [batch])
            for player in game.turns:
                losses.update(*passes.losses(player))
        return losses

    def training_step(self, batch: TransferBatch, batch_idx: int) -> None:
        """Give every player its turn as soon as all batches of a step are there, or the last of the epoch."""
        self._waiting.append(batch)
        n_batches = batches_a_step(self.trainer)
        if len(self._waiting) < n_batches and not self.trainer.is_last_batch:
            return
        batches, self._waiting = self._waiting, []
        n_steps = self.trainer.fit_loop.total_batch_idx // n_batches
        games, optimizers = self.games(), self.optimizers()
        names = [player.name for game in games for player in game.players]
        optimizer_of = dict(
            zip(names, optimizers if isinstance(optimizers, list) else [optimizers], strict=True)
        )
        for game in games:
            passes = ForwardPasses(game, batches)
            for player in game.turns:
                if n_steps % player.every == 0:
                    parts = self._logged_parts(player, passes.losses(player), len(batches))
                    take_turn(self, optimizer_of[player.name], parts, player.max_norm)

    def _logged_parts(
        self, player: Player[Any], losses: Iterable[Mapping[str, Tensor]], n_batches: int
    ) -> Iterator[Tensor]:
        """Log the losses of a player on each batch, and give its parts of the step's mean loss."""
        for of_batch in losses:
            self.log_terms("train", of_batch)
            yield of_batch[player.name] / n_batches


def with_total(name: str, terms: Mapping[str, Tensor], weights: object) -> dict[str, Tensor]:
    """The terms and, called ``name``, their weighted sum."""
    return {**terms, name: weighted_sum(terms, weights)}


def take_turn(
    module: L.LightningModule,
    optimizer: LightningOptimizer,
    losses: Iterable[Tensor],
    max_norm: float | None = None,
) -> None:
    """Let one optimizer make a step while the other players stand still.

    Args:
        module: its ``training_step`` is running.
        optimizer: one of ``module.optimizers()``.
        losses: parts of the sum to minimise. Each is computed when its turn comes, after the other
            optimizers' parameters were frozen, so that a generator's loss goes through a discriminator
            without leaving gradients in it, and each graph is gone before the next.
        max_norm: norm that gradients are scaled down to where the trainer's `Stepping` has no limit.
    """
    with optimizer.toggle_model():
        optimizer.zero_grad()
        for loss in losses:
            module.manual_backward(loss)  # not loss.backward(): under DDP the ranks would drift apart
        _clip(module, optimizer, max_norm)
        optimizer.step()


def _clip(module: L.LightningModule, optimizer: LightningOptimizer, max_norm: float | None) -> None:
    stepping = Stepping.of(module.trainer)
    limit = max_norm if stepping.clip_val is None else stepping.clip_val
    if limit:
        # With float16 the gradients are still multiplied by a scale; the optimizer's step divides them.
        scaler = getattr(module.trainer.precision_plugin, "scaler", None)
        module.clip_gradients(
            optimizer.optimizer,
            gradient_clip_val=limit if scaler is None else limit * scaler.get_scale(),
            gradient_clip_algorithm=stepping.clip_algorithm,
        )
