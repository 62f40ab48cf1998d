"""Signal group, as a listening panel would rate it: PESQ and ViSQOL. Both compare with the paired target.

Both were made for coding artefacts, not for wrong notes: ViSQOL is blind to small changes of pitch, and both
can rank the wrong melody above a copy (docs/metrics.md). Read them for sound quality only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.audio.files import resampled

PESQ_RATE_HZ = 16000
VISQOL_RATE_HZ = 48000
PESQ_LONGEST_S = 12.0
"""The reference code of P.862 has room for fifty utterances and writes behind it where there are more. An
utterance with its pause lasts 0.4 s or longer, so that thirty fit into a piece of this length."""


def pesq(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """Perceptual evaluation of speech quality, wide band, MOS-LQO (ITU-T P.862.2; the ``pesq`` package).

    Args:
        preds: ``(B, T)``; resampled to 16 kHz.
        target: ``(B, T)``.
        sample_rate: in Hz.

    Returns:
        ``(B,)``, range [1.04, 4.64], higher is better. Clips longer than `PESQ_LONGEST_S` are measured in
        equal pieces and averaged. NaN for silence and for clips under a quarter of a second, for which P.862
        is not defined.
    """
    return _each(_pesq_of_one, preds, target, sample_rate, PESQ_RATE_HZ)


def visqol(preds: Tensor, target: Tensor, sample_rate: int) -> Tensor:
    """ViSQOL v3 in audio mode, MOS-LQO (Chinen et al., arXiv 2004.09584; the ``visqol-python`` package).

    Args:
        preds: ``(B, T)``; resampled to 48 kHz.
        target: ``(B, T)``.
        sample_rate: in Hz.

    Returns:
        ``(B,)``, range [1, 4.75], higher is better. NaN where ViSQOL refuses, as for silence.
    """
    return _each(_visqol_of_one, preds, target, sample_rate, VISQOL_RATE_HZ)


def _each(
    rating: Callable[[np.ndarray, np.ndarray], float],
    preds: Tensor,
    target: Tensor,
    sample_rate: int,
    wanted_rate: int,
) -> Tensor:
    """``rating`` of each pair of clips at ``wanted_rate``, ``(B,)``; NaN where one side is silent."""
    values = [
        rating(*(resampled(x.cpu().double().numpy(), sample_rate, wanted_rate) for x in pair))
        if all(x.any() for x in pair)
        else np.nan
        for pair in zip(preds, target, strict=True)
    ]
    return torch.tensor(values, dtype=preds.dtype, device=preds.device)


def _pesq_of_one(preds: np.ndarray, target: np.ndarray) -> float:
    n_pieces = math.ceil(len(target) / (PESQ_LONGEST_S * PESQ_RATE_HZ))
    pieces = zip(*(np.array_split(audio, n_pieces) for audio in (preds, target)), strict=True)
    ratings = [rating for piece in pieces if not np.isnan(rating := _pesq_of_piece(*piece))]
    return float(np.mean(ratings)) if ratings else np.nan


def _pesq_of_piece(preds: np.ndarray, target: np.ndarray) -> float:
    import pesq as package

    try:
        return package.pesq(PESQ_RATE_HZ, target, preds, "wb")
    except package.PesqError:  # no utterance found, or too short
        return np.nan


def _visqol_of_one(preds: np.ndarray, target: np.ndarray) -> float:
    try:
        return float(_visqol_model().measure_from_arrays(target, preds, VISQOL_RATE_HZ).moslqo)
    except (ValueError, IndexError, ZeroDivisionError):  # nothing audible, or shorter than one patch
        return np.nan


@lru_cache(maxsize=1)
def _visqol_model() -> Any:
    from visqol import VisqolApi

    model = VisqolApi()
    model.create(mode="audio")
    return model
