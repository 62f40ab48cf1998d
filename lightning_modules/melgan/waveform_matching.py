"""A waveform is changed until a network hears the reference's timbre and the source's notes in it.

Gatys et al., A Neural Algorithm of Artistic Style, arXiv 1508.06576, section 2, on audio and with a
discriminator as the network that listens: it was trained to hear what real recordings sound like. Style is
matched by statistics over time, which do not know *when* anything sounds. Matching the reference's features
frame by frame, as the MelGAN document's first version did, gives both pieces at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from tqdm import tqdm

from lightning_modules.layers.loss_weights import weighted_sum
from lightning_modules.melgan.losses import MatchingWeights, feature_distance

Features = Sequence[Sequence[Tensor]]
"""``(B, C, ·)`` of each layer of each scale."""


class Statistic:
    """What remains of features ``(B, C, T)`` when it is forgotten when anything happened: ``(B, S)``."""

    def __call__(self, features: Tensor) -> Tensor:
        """Independent of T and of the order in time."""
        raise NotImplementedError


class MeanAndDeviation(Statistic):
    """Mean and standard deviation of every channel (Li et al., arXiv 1701.01036, section 4.2)."""

    def __call__(self, features: Tensor) -> Tensor:
        """``(B, 2 · C)``."""
        deviation = (features.var(-1, correction=0) + 1e-12).sqrt()
        return torch.cat([features.mean(-1), deviation], dim=-1)


class Gram(Statistic):
    """Mean products of any two channels (Gatys et al., equation 3, divided by the length)."""

    def __call__(self, features: Tensor) -> Tensor:
        """``(B, C²)``."""
        return (features @ features.transpose(1, 2) / features.shape[-1]).flatten(1)


class WaveformMatching:
    """Optimises a waveform for each clip.

    Args:
        statistic: what of the features is style.
        content_layers: layers of each scale, from the input's side, whose features are content.
        n_steps: steps of Adam; more of them go further from the source.
        learning_rate: of the samples, relative to the source's root mean square.
        weights: of content and statistics against each other.
        progress: whether to show a bar.
    """

    def __init__(
        self,
        statistic: Statistic | None = None,
        content_layers: Sequence[int] = (2, 3),
        n_steps: int = 200,
        learning_rate: float = 0.02,
        weights: MatchingWeights = MatchingWeights(),  # noqa: B008 (never changed)
        progress: bool = True,
    ) -> None:
        self.statistic = statistic or MeanAndDeviation()
        self.content_layers = list(content_layers)
        self.n_steps = n_steps
        self.learning_rate = learning_rate
        self.weights = weights
        self.progress = progress

    def __call__(self, listen: Callable[[Tensor], Features], source: Tensor, reference: Tensor) -> Tensor:
        """Change ``source`` ``(B, T)`` towards the sound of ``reference`` ``(B, R)``; returns ``(B, T)``.

        Args:
            listen: audio ``(B, T)`` → features; its weights get no gradient.
            source: where the optimisation starts, so that phase and polarity are the source's.
            reference: any length.
        """
        # Also within a test's inference mode, whose tensors cannot be differentiated.
        with torch.inference_mode(False), torch.enable_grad():
            source, reference = source.clone(), reference.clone()
            with torch.no_grad():
                content = self.content_of(listen(source))
                style = self.style_of(listen(reference))
            audio = source.clone().requires_grad_()
            # Adam's steps have the size of its rate: quiet clips need small ones.
            level = source.square().mean().sqrt().item()
            optimizer = torch.optim.Adam([audio], lr=self.learning_rate * level)
            for _ in tqdm(range(self.n_steps), "matching", leave=False, disable=not self.progress):
                features = listen(audio)
                terms = {
                    "content": feature_distance(self.content_of(features), content),
                    "statistics": feature_distance(self.style_of(features), style),
                }
                [audio.grad] = torch.autograd.grad(weighted_sum(terms, self.weights), [audio])
                optimizer.step()
        return audio.detach().clamp(-1, 1)

    def content_of(self, features: Features) -> list[Tensor]:
        """Features of the content layers of every scale."""
        return [layers[i] for layers in features for i in self.content_layers]

    def style_of(self, features: Features) -> list[Tensor]:
        """The statistic of every layer of every scale."""
        return [self.statistic(layer) for layers in features for layer in layers]
