"""How the leaderboard writes metrics, values and pairs, whatever its format."""

from __future__ import annotations

from metrics.evaluation.table import Interval
from metrics.registry import Metric


def heading(metric: Metric) -> str:
    """Head of a metric's column, as in ``MFCC ↓``."""
    return f"{metric.caption} {metric.arrow}"


def value(interval: Interval | None, with_interval: bool = False) -> str:
    """``0.83``, or ``0.83 [0.79, 0.86]``; a dash where there is none."""
    if interval is None:
        return "–"
    text = number(interval.mean)
    if with_interval and interval.low is not None and interval.high is not None:
        text += f" [{number(interval.low)}, {number(interval.high)}]"
    return text


def number(x: float) -> str:
    """Three significant digits, as far as a reader needs them: ``0.834``, ``6.54``, ``17.7``."""
    return f"{x:.3f}" if abs(x) < 1 else f"{x:.2f}" if abs(x) < 10 else f"{x:.1f}"


def pair_title(pair: str) -> str:
    """``piano → violin`` for ``piano->violin``."""
    return pair.replace("->", " → ")


def verdict(metric: Metric, difference: Interval) -> str:
    """``better`` or ``worse`` for ours − theirs, or nothing where the interval holds zero."""
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return ""
    return "better" if (difference.low > 0) == metric.higher_is_better else "worse"
