"""The joint score of an example: measures what `metrics.evaluation.joint` puts together."""

from __future__ import annotations

import numpy as np
import torch

from metrics.evaluation.analyses import Analyses
from metrics.evaluation.example import Example
from metrics.evaluation.joint import (
    ContentBaseline,
    TimbreDistances,
    content_score,
    joint_score,
    timbre_score,
)
from metrics.functional.content import jaccard_distance
from metrics.functional.oracle import with_phase_of


def joint_scores(example: Example, sample_rate: int, analyses: Analyses) -> dict[str, float]:
    """``content_score``, ``timbre_score`` and ``joint_score`` of ``example``, each in [0, 1].

    The baselines (notes of the oracle and of unrelated pieces, distance of a copy) belong to the question
    and not to the system; ``analyses``, which must have a timbre space, remembers them for the next system.
    """
    heard = analyses.notes(example.preds, sample_rate, keep=False).sounding
    wanted = analyses.notes(example.notes_wanted, sample_rate).sounding
    distances = TimbreDistances(
        to_target=analyses.triplet_distance(example.preds, example.timbre_wanted),
        to_source=analyses.triplet_distance(example.preds, example.source),
        of_copy=analyses.triplet_distance(example.source, example.timbre_wanted),
    )
    content = content_score(
        jaccard_distance(heard, wanted), _content_baseline(example, sample_rate, analyses, wanted)
    )
    timbre = timbre_score(distances)
    return {
        "content_score": content,
        "timbre_score": timbre,
        "joint_score": joint_score(content, timbre),
    }


def _content_baseline(
    example: Example, sample_rate: int, analyses: Analyses, wanted: np.ndarray
) -> ContentBaseline:
    def distance(audio: np.ndarray) -> float:
        return jaccard_distance(analyses.notes(audio, sample_rate).sounding, wanted)

    unrelated = [x for x in (example.wrong_notes, example.reference) if x is not None]
    # A reference may be shorter or longer than the clip: as anchor and here it is repeated or cut.
    least = min(distance(np.resize(x, len(example.source))) for x in unrelated)
    best = 0.0 if example.target is None else distance(_oracle(example.source, example.target, sample_rate))
    return ContentBaseline(best, least)


def _oracle(source: np.ndarray, target: np.ndarray, sample_rate: int) -> np.ndarray:
    source_clip, target_clip = torch.from_numpy(source)[None], torch.from_numpy(target)[None]
    return with_phase_of(source_clip, target_clip, sample_rate)[0].numpy()
