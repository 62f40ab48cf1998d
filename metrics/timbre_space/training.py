"""Train the timbre space of a corpus on its training split, once; every later test loads it."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from datamodules.corpora.corpus import Corpus, Item
from metrics.timbre_space.space import EMBEDDING_SIZE, MIN_FRAMES, TimbreNetwork, TimbreSpace, cepstra
from runtime.files import write_beside
from runtime.messages import say

log = logging.getLogger(__name__)

FILE_NAME = "timbre_space.pt"
RECIPE = 2
"""Raise it whenever training changes, so that spaces of an older recipe are trained again."""
MAX_PIECES = 48
MAX_CLIP_S = 12.0
N_STEPS = 300
BATCH_SIZE = 32
MARGIN = 0.1
"""Triplet margin of the source."""
LEARNING_RATE = 2e-3
SNR_RANGE_DB = (10.0, 50.0)
COLOUR_DB = 2.0
"""Spread of the random equaliser: standard deviation of the offset that each cepstrum gets."""


class Clip(NamedTuple):
    """One training clip."""

    audio: np.ndarray
    """``(T,)`` samples."""
    instrument: str
    piece: str


def prepare_timbre_space(corpus_root: Path) -> Path | None:
    """The file with the timbre space of a corpus, trained now if it is not there. Processes take turns.

    ``None`` where the training split has fewer than two instruments: there is nothing to tell apart.
    """
    corpus = Corpus.open(corpus_root)
    path = _path(corpus.root)
    path.parent.mkdir(exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.is_file() and load_timbre_space(path) is not None:
            return path
        if len(corpus.instruments) < 2:
            return None
        say("Training the timbre space of this corpus, which every later evaluation loads.")
        space = train_timbre_space(training_clips(corpus), corpus.sample_rate)
        if space is None:
            return None
        save_timbre_space(space, path)
    return path


def find_timbre_space(corpus_root: Path) -> Path | None:
    """The file with the timbre space of a corpus, if `prepare_timbre_space` has made one."""
    path = _path(corpus_root)
    return path if path.is_file() else None


def _path(corpus_root: Path) -> Path:
    return corpus_root / "evaluation" / FILE_NAME


def training_clips(corpus: Corpus) -> list[Clip]:
    """The first seconds of up to `MAX_PIECES` pieces an instrument, evenly chosen.

    Only pieces as written, so that corpora with more renditions of the same pieces have the same space.
    """
    n_samples = int(MAX_CLIP_S * corpus.sample_rate)
    chosen: list[Item] = []
    for instrument in corpus.instruments:
        items = [i for i in corpus.select(split="train", instrument=instrument) if not i.is_varied]
        chosen += items[:: max(1, len(items) // MAX_PIECES)][:MAX_PIECES]
    return [Clip(corpus.read(item, 0, n_samples), item.instrument, item.piece) for item in chosen]


def train_timbre_space(
    clips: Sequence[Clip], sample_rate: int, n_steps: int = N_STEPS, seed: int = 0
) -> TimbreSpace | None:
    """Train network and probe; the same clips and seed give the same space. The global RNG is left alone."""
    instruments = tuple(sorted({clip.instrument for clip in clips}))
    if len(instruments) < 2:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        triplets = Triplets(clips, sample_rate, np.random.default_rng(seed))
        network = TimbreNetwork()
        network.mean.copy_(triplets.mean)
        network.scale.copy_(triplets.scale)
        _fit_network(network, triplets, n_steps)
        probe = _fit_probe(network, triplets, instruments)
    return TimbreSpace(network, probe, instruments, sample_rate)


class Triplets:
    """Draws anchor and positive (one instrument, two pieces) and negative (another instrument).

    The negative plays the anchor's piece where the corpus has it: then only timbre tells them apart. Every
    clip is there once clean and once with noise, and each crop gets a random equaliser, so that neither
    makes another instrument of it.
    """

    def __init__(self, clips: Sequence[Clip], sample_rate: int, generator: np.random.Generator) -> None:
        self._generator = generator
        self._pool: dict[str, dict[str, list[Tensor]]] = defaultdict(dict)
        for clip in clips:
            versions = (clip.audio, _with_noise(clip.audio, generator))
            stack = torch.from_numpy(np.stack(versions).astype(np.float32))
            self._pool[clip.instrument][clip.piece] = list(cepstra(stack, sample_rate))
        frames = torch.cat([c for pieces in self._pool.values() for v in pieces.values() for c in v], dim=-1)
        self.mean, self.scale = frames.mean(-1, keepdim=True), frames.std(-1, keepdim=True).clamp_min(1e-3)

    def draw(self, count: int) -> Tensor:
        """``(3, count, 12, MIN_FRAMES)``: anchors, positives, negatives."""
        triplets = [self._triplet() for _ in range(count)]
        return torch.stack([torch.stack(column) for column in zip(*triplets, strict=True)])

    def labelled(self, instruments: Sequence[str], count: int) -> tuple[Tensor, Tensor]:
        """``count`` crops of each instrument and their labels."""
        crops = [self._crop(name, self._piece(name)) for name in instruments for _ in range(count)]
        return torch.stack(crops), torch.arange(len(instruments)).repeat_interleave(count)

    def _triplet(self) -> tuple[Tensor, Tensor, Tensor]:
        wanted, other = self._generator.choice(sorted(self._pool), 2, replace=False)
        piece = self._piece(wanted)
        same = piece if piece in self._pool[other] else self._piece(other)
        return self._crop(wanted, piece), self._crop(wanted, self._piece(wanted)), self._crop(other, same)

    def _piece(self, instrument: str) -> str:
        return str(self._generator.choice(list(self._pool[instrument])))

    def _crop(self, instrument: str, piece: str) -> Tensor:
        versions = self._pool[instrument][piece]
        clip = versions[self._generator.integers(len(versions))]
        start = int(self._generator.integers(clip.shape[-1] - MIN_FRAMES + 1))
        # A filter multiplies the spectrum, so it adds a constant to the cepstrum. The orthonormal DCT of
        # 128 bands scales an offset of 1 dB to √128.
        colour = self._generator.normal(0.0, COLOUR_DB, (clip.shape[0], 1)).astype(np.float32)
        return clip[:, start : start + MIN_FRAMES] + torch.from_numpy(colour)


def _fit_network(network: TimbreNetwork, triplets: Triplets, n_steps: int) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=n_steps)
    for _ in range(n_steps):
        anchor, positive, negative = network(triplets.draw(BATCH_SIZE).flatten(0, 1)).chunk(3)
        near, far = (nn.functional.cosine_similarity(anchor, other) for other in (positive, negative))
        loss = (MARGIN + far - near).clamp_min(0).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    network.eval()


def _fit_probe(network: TimbreNetwork, triplets: Triplets, instruments: Sequence[str]) -> nn.Linear:
    crops, labels = triplets.labelled(instruments, count=64)
    with torch.no_grad():
        embeddings = network(crops)
    probe = nn.Linear(EMBEDDING_SIZE, len(instruments))
    optimizer = torch.optim.LBFGS(probe.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        penalty = 1e-3 * probe.weight.square().sum()
        loss = nn.functional.cross_entropy(probe(embeddings), labels) + penalty
        loss.backward()
        return loss

    optimizer.step(closure)
    return probe.requires_grad_(False)


def _with_noise(audio: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    rms = float(np.sqrt(np.mean(audio**2)))
    gain = 10.0 ** (-generator.uniform(*SNR_RANGE_DB) / 20)
    return audio + rms * gain * generator.standard_normal(len(audio))


def save_timbre_space(space: TimbreSpace, path: Path) -> None:
    """Write ``space`` to ``path``, whole or not at all."""
    content = {
        "recipe": RECIPE,
        "network": space.network.state_dict(),
        "probe": space.probe.state_dict(),
        "instruments": list(space.instruments),
        "sample_rate": space.sample_rate,
    }
    with write_beside(path) as file:
        torch.save(content, file)


def load_timbre_space(path: Path) -> TimbreSpace | None:
    """Read what `save_timbre_space` wrote; ``None`` where it is of another recipe or damaged."""
    try:
        content = torch.load(path, weights_only=True)
        if content["recipe"] != RECIPE:
            return None
        network, probe = TimbreNetwork(), nn.Linear(EMBEDDING_SIZE, len(content["instruments"]))
        network.load_state_dict(content["network"])
        probe.load_state_dict(content["probe"])
    except Exception as error:
        log.warning(
            "%s could not be read (%s); the timbre space is trained again.", path, type(error).__name__
        )
        return None
    return TimbreSpace(
        network.eval(), probe.requires_grad_(False), tuple(content["instruments"]), content["sample_rate"]
    )
