"""The joint score of a transfer: measures what `metrics.evaluation.joint` puts together."""

from __future__ import annotations

import numpy as np

from metrics.evaluation.analyses import Analyses
from metrics.evaluation.joint import (
    ContentBaseline,
    TimbreDistances,
    content_score,
    joint_score,
    timbre_score,
)
from metrics.evaluation.transfer import Transfer, as_batch, side_of
from metrics.functional.content import jaccard_distance
from metrics.functional.oracle import with_phase_of
from metrics.registry import Side
from metrics.timbre_space.space import triplet_timbre_distance


def joint_scores(transfer: Transfer, sample_rate: int, analyses: Analyses) -> dict[str, float]:
    """``content_score``, ``timbre_score`` and ``joint_score`` of a transfer, each in [0, 1].

    The baselines (notes of the oracle and of unrelated pieces, distance of a copy) belong to the test case
    and not to the system; ``analyses``, which must have a timbre space, remembers them for the next system.
    """
    heard = analyses.notes(transfer.preds, sample_rate, keep=False).sounding
    wanted = analyses.notes(side_of(transfer, Side.NOTES), sample_rate).sounding
    baseline = _content_baseline(transfer, sample_rate, analyses, wanted)
    content = content_score(jaccard_distance(heard, wanted), baseline)
    timbre = timbre_score(_timbre_distances(transfer, analyses))
    return {
        "content_score": content,
        "timbre_score": timbre,
        "joint_score": joint_score(content, timbre),
    }


def _content_baseline(
    transfer: Transfer, sample_rate: int, analyses: Analyses, wanted: np.ndarray
) -> ContentBaseline:
    def distance(audio: np.ndarray) -> float:
        return jaccard_distance(analyses.notes(audio, sample_rate).sounding, wanted)

    source, target = transfer.source, transfer.target
    unrelated = [x for x in (transfer.wrong_notes, transfer.reference) if x is not None]
    # A reference may be shorter or longer than the source: it is repeated or cut, as where it is an anchor.
    least = min(distance(np.resize(x, len(source))) for x in unrelated)
    best = 0.0 if target is None else distance(_oracle(source, target, sample_rate))
    return ContentBaseline(best, least)


def _oracle(source: np.ndarray, target: np.ndarray, sample_rate: int) -> np.ndarray:
    return with_phase_of(as_batch(source), as_batch(target), sample_rate)[0].numpy()


def _timbre_distances(transfer: Transfer, analyses: Analyses) -> TimbreDistances:
    space = analyses.space
    assert space is not None, "a joint score needs Analyses(space=...)"
    preds, source = as_batch(transfer.preds), as_batch(transfer.source)
    wanted = as_batch(side_of(transfer, Side.TIMBRE))
    pairs = ((preds, wanted), (preds, source), (source, wanted))
    return TimbreDistances(*(float(triplet_timbre_distance(*pair, space)) for pair in pairs))
