"""Draws a study: history, importances and slices, and with several objectives the Pareto front."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from runtime.files import write_beside

INCHES_PER_PANEL = 4.0
"""Width of a panel. Its label is the name of a parameter, which may be long."""
log = logging.getLogger(__name__)


def draw(study: optuna.Study, metrics: Sequence[str], folder: Path) -> list[Path]:
    """Draw every picture for which the study has enough trials.

    Args:
        study: the study, with any number of trials.
        metrics: names of the objectives.
        folder: the folder that the PNG files are written to.

    Returns:
        The paths of the files.
    """
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("Agg")
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return []
    paths = []
    for name, plot, options in _pictures(with_short_names(study), metrics):
        try:
            with _without_warnings():
                plot(**options)
        except (ValueError, RuntimeError) as error:  # such as importances of trials that are all equal
            log.warning("There is no picture '%s' of the study: %s", name, error)
            continue
        figure = pyplot.gcf()
        figure.set_figwidth(max(figure.get_figwidth(), INCHES_PER_PANEL * len(figure.axes)))
        path = folder / f"{name}.png"
        with write_beside(path) as file:
            figure.savefig(file, format="png", dpi=80, bbox_inches="tight")
        pyplot.close("all")
        paths.append(path)
    return paths


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Ignore that Optuna's plots are experimental, and what they warn of few trials or equal values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        for message in ("PedAnovaImportanceEvaluator computes", "Attempting to set identical low and high"):
            warnings.filterwarnings("ignore", message=message)
        yield


def _pictures(study: optuna.Study, metrics: Sequence[str]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    from optuna.visualization import matplotlib as plots

    for index, (metric, direction) in enumerate(zip(metrics, study.directions, strict=True)):
        suffix = "" if len(metrics) == 1 else f"_{metric.rpartition('/')[2]}"
        shown: dict[str, Any] = {"study": study, "target_name": metric}
        importances = shown
        if suffix:
            # With a `target`, Optuna takes low values for good ones, whatever the direction of the study.
            sign = -1 if direction == optuna.study.StudyDirection.MAXIMIZE else 1
            importances = shown | {"target": lambda trial, i=index, sign=sign: sign * trial.values[i]}
            shown = shown | {"target": lambda trial, i=index: trial.values[i]}
        yield f"history{suffix}", plots.plot_optimization_history, shown
        yield f"importances{suffix}", plots.plot_param_importances, importances
        yield f"slice{suffix}", plots.plot_slice, shown
    if len(metrics) in (2, 3):
        yield "pareto", plots.plot_pareto_front, {"study": study, "target_names": list(metrics)}


def with_short_names(study: optuna.Study) -> optuna.Study:
    """Copy a study in memory, with the short names of its config keys as parameter names."""
    copy = optuna.create_study(directions=study.directions, study_name=study.study_name)
    for trial in study.get_trials(deepcopy=True):
        if trial.state.is_finished():
            trial.params = {short(key): value for key, value in trial.params.items()}
            trial.distributions = {short(key): value for key, value in trial.distributions.items()}
            copy.add_trial(trial)
    return copy


def short(key: str) -> str:
    """Shorten a config key: ``model.init_args.optimizer.init_args.lr`` becomes ``optimizer.lr``."""
    return key.replace("init_args.", "").removeprefix("model.")
