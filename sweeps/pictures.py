"""What a study looks like: history, importances, slices, and with several objectives the Pareto front."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

from runtime.files import write_beside

INCHES_PER_PANEL = 4.0
"""A panel is named by its parameter, which takes some room."""
log = logging.getLogger(__name__)


def draw(study: optuna.Study, metrics: Sequence[str], folder: Path) -> list[Path]:
    """Draw every picture that the study has enough trials for.

    Args:
        study: of any size.
        metrics: names of its objectives.
        folder: where the PNG files go.

    Returns:
        the files.
    """
    import matplotlib
    from matplotlib import pyplot

    matplotlib.use("Agg")
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    warnings.filterwarnings("ignore", message="PedAnovaImportanceEvaluator computes")
    if not study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
        return []
    paths = []
    for name, plot, options in _pictures(with_short_names(study), metrics):
        try:
            plot(**options)
        except (ValueError, RuntimeError) as error:  # such as importances of trials that are all alike
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


def _pictures(study: optuna.Study, metrics: Sequence[str]) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    from optuna.visualization import matplotlib as plots

    for index, (metric, direction) in enumerate(zip(metrics, study.directions, strict=True)):
        suffix = "" if len(metrics) == 1 else f"_{metric.rpartition('/')[2]}"
        shown: dict[str, Any] = {"study": study, "target_name": metric}
        importances = shown
        if suffix:
            # Importances are those for low values, unless Optuna may look at the study's own direction.
            sign = -1 if direction == optuna.study.StudyDirection.MAXIMIZE else 1
            importances = shown | {"target": lambda trial, i=index, sign=sign: sign * trial.values[i]}
            shown = shown | {"target": lambda trial, i=index: trial.values[i]}
        yield f"history{suffix}", plots.plot_optimization_history, shown
        yield f"importances{suffix}", plots.plot_param_importances, importances
        yield f"slice{suffix}", plots.plot_slice, shown
    if len(metrics) in (2, 3):
        yield "pareto", plots.plot_pareto_front, {"study": study, "target_names": list(metrics)}


def with_short_names(study: optuna.Study) -> optuna.Study:
    """A copy in memory whose parameters are named by what tells config keys apart."""
    copy = optuna.create_study(directions=study.directions, study_name=study.study_name)
    for trial in study.get_trials(deepcopy=True):
        if trial.state.is_finished():
            trial.params = {short(key): value for key, value in trial.params.items()}
            trial.distributions = {short(key): value for key, value in trial.distributions.items()}
            copy.add_trial(trial)
    return copy


def short(key: str) -> str:
    """``optimizer.lr`` of ``model.init_args.optimizer.init_args.lr``."""
    return key.replace("init_args.", "").removeprefix("model.")
