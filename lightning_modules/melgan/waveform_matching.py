"""Optimisation of a waveform until a network hears the reference's timbre and the source's notes in it.

It is the method of Gatys et al., A Neural Algorithm of Artistic Style, arXiv 1508.06576, section 2, on audio.
Features are MelGAN's: the mel frames that its generator reads, and the features of its discriminators, which
were trained on what real recordings sound like. Style is matched by statistics over time, which do not depend
on *when* anything sounds. Matching the reference's features frame by frame, as the MelGAN document's first
version did, gives both pieces at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.melgan.changes import Change, Filter
from lightning_modules.melgan.losses import MatchingWeights, feature_distance


class Heard(NamedTuple):
    """The features of audio that are matched."""

    mel: Tensor
    """``(B, M, N)`` mel frames in [−1, 1]."""
    features: Sequence[Sequence[Tensor]]
    """``(B, C, ·)`` of each layer of each of the discriminator's scales."""


class Statistic:
    """A statistic of features over time: ``(B, C, T)`` → ``(B, S)``."""

    def __call__(self, features: Tensor) -> Tensor:
        """``(B, C, T)`` → ``(B, S)``, independent of T and of the order in time."""
        raise NotImplementedError


class MeanAndDeviation(Statistic):
    """The mean and standard deviation of every channel (Li et al., arXiv 1701.01036, section 4.2)."""

    def __call__(self, features: Tensor) -> Tensor:
        """``(B, C, T)`` → ``(B, 2 · C)``."""
        deviation = (features.var(-1, correction=0) + 1e-12).sqrt()
        return torch.cat([features.mean(-1), deviation], dim=-1)


class Gram(Statistic):
    """The mean products of any two channels (Gatys et al., equation 3, divided by the length)."""

    def __call__(self, features: Tensor) -> Tensor:
        """``(B, C, T)`` → ``(B, C²)``."""
        return (features @ features.transpose(1, 2) / features.shape[-1]).flatten(1)


class WaveformMatching:
    """Optimises a change of the waveform for each clip.

    Args:
        change: the change that is optimised.
        statistic: of mel frames and features, which is the style.
        content_layers: numbers of the layers of each scale whose features are the content; 0 is the first.
        n_steps: steps of Adam; more steps go further from the source.
        weights: of the terms.
        progress: whether to show a progress bar.
    """

    def __init__(
        self,
        change: Change | None = None,
        statistic: Statistic | None = None,
        content_layers: Sequence[int] = (2, 3),
        n_steps: int = 200,
        weights: MatchingWeights = MatchingWeights(),  # noqa: B008 (never changed)
        progress: bool = True,
    ) -> None:
        self.change = change or Filter()
        self.statistic = statistic or MeanAndDeviation()
        self.content_layers = list(content_layers)
        self.n_steps = n_steps
        self.weights = weights
        self.progress = progress

    def __call__(
        self, listen: Callable[[Tensor], Heard], source: Tensor, reference: Tensor, sample_rate: int
    ) -> Tensor:
        """Change ``source`` ``(B, T)`` towards the sound of ``reference`` ``(B, R)``; returns ``(B, T)``.

        Args:
            listen: extracts features from audio ``(B, T)``; its weights get no gradient.
            source: the audio to be changed, which keeps its phase and polarity.
            reference: of any length.
            sample_rate: of both, in Hz.
        """
        # Lightning tests in inference mode, whose tensors cannot be differentiated.
        with torch.inference_mode(False), torch.enable_grad():
            source, reference = source.clone(), reference.clone()
            with torch.no_grad():
                goal = self.goal(listen(source), listen(reference))
            parameters = self.change.parameters(source).requires_grad_()
            optimizer = torch.optim.Adam([parameters], lr=self.change.learning_rate)
            for _ in tqdm(range(self.n_steps), "matching", leave=False, disable=not self.progress):
                audio = self.change.apply(source, parameters, sample_rate)
                terms = self.distances(listen(audio), goal)
                [parameters.grad] = torch.autograd.grad(weighted_sum(terms, self.weights), [parameters])
                optimizer.step()
            audio = self.change.apply(source, parameters.detach(), sample_rate)
        return audio.clamp(-1, 1)

    def goal(self, source: Heard, reference: Heard) -> dict[str, list[Tensor]]:
        """The target of each term: the source's content and the reference's style."""
        return self._compared(reference) | {"content": self._compared(source)["content"]}

    def distances(self, heard: Heard, goal: Mapping[str, Sequence[Tensor]]) -> dict[str, Tensor]:
        """The terms: the distances of the features from the `goal`."""
        return {name: feature_distance(part, goal[name]) for name, part in self._compared(heard).items()}

    def _compared(self, heard: Heard) -> dict[str, list[Tensor]]:
        return {
            "mel": [self.statistic(heard.mel)],
            "statistics": [self.statistic(layer) for layers in heard.features for layer in layers],
            "content": [layers[i] for layers in heard.features for i in self.content_layers],
        }
