"""The work of one worker in a sweep, from its command line to the outcome of the study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import optuna

from callbacks.tracking.mlflow_store import default_tracking_uri
from sweeps import learning_rates, studies
from sweeps.best_configs import write_best
from sweeps.budget import Budget
from sweeps.checking import ExperimentFacts
from sweeps.command_process import ask
from sweeps.pictures import draw
from sweeps.record import SweepRecord
from sweeps.spaces import Space
from sweeps.trials import Objective, TrialFailed, TrialSettings
from sweeps.worker import Worker

FOLDER = Path("runs") / "sweeps"
OWN_LENGTH = "the experiment's own"
"""Name of the budget if none is given."""


class Options(Protocol):
    """The options that concern this worker alone; other workers of the study may have others."""

    trials: int
    jobs: int
    resume: bool
    no_pruning: bool
    no_range_test: bool


@dataclass(frozen=True)
class Sweep:
    """The definition of a sweep, which must be equal for all workers of the study.

    Args:
        experiment: name or path of the experiment.
        scale: ``demo`` or ``paper``.
        name: name of the study.
        space: the search space.
        objectives: names of the validation metrics to optimise.
        budget: length of each trial; ``None`` is the experiment's own length.
        fit_options: further options of every trial's `fit`.
        storage: URL of the study's database.
    """

    experiment: str
    scale: str
    name: str
    space: Space
    objectives: list[str]
    budget: Budget | None
    fit_options: list[str]
    storage: str

    def run(self, options: Options) -> None:
        """Run trials until the study is complete, then write its outcome."""
        storage = studies.open_storage(self.storage)
        if not options.resume:
            studies.require_new(storage, self.name)  # first, because the check takes a while
        question = (self.experiment, self.scale, self._shared, self.space, self.objectives)
        facts: ExperimentFacts = ask("sweeps.checking", "check", *question)
        prune = not options.no_pruning
        study, is_new = studies.begin(storage, self.name, self._identity(facts), options.resume, prune)
        record = SweepRecord(FOLDER / f"{self.name}_{study.user_attrs['id'][:4]}", default_tracking_uri())
        settings = self._trial_settings(facts, record, study, is_new)
        if is_new:
            self._enqueue_guesses(study, facts, settings, with_rates=not options.no_range_test)
        self._work(Worker(study, settings, record, options.trials), options.jobs)
        self._write_outcome(study, record)

    @property
    def _shared(self) -> list[str]:
        """The options of every trial: one device by default, because several trials may run at once."""
        return ["--trainer.devices", "1", *self.fit_options]

    def _identity(self, facts: ExperimentFacts) -> studies.Identity:
        return studies.Identity(
            experiment=facts.name,
            scale=self.scale,
            budget=self.budget.text if self.budget else OWN_LENGTH,
            objectives=[(name, facts.directions[name]) for name in self.objectives],
            space=self.space.as_data(),
            options=self.fit_options,
        )

    def _trial_settings(
        self, facts: ExperimentFacts, record: SweepRecord, study: optuna.Study, is_new: bool
    ) -> TrialSettings:
        length = self.budget.options(facts.batches_per_epoch) if self.budget else []
        return TrialSettings(
            fit=["--config", self.experiment, "--scale", self.scale, *self._shared, *length],
            space=self.space,
            objectives=tuple(Objective(name, facts.directions[name]) for name in self.objectives),
            monitor=Objective(facts.monitor, facts.monitor_direction),
            budget=self.budget,
            folder=record.folder,
            experiment=facts.name,
            sweep=self.name,
            parent_run=self._parent_run(facts, record, study, is_new),
            is_thorough=not facts.is_cheap,
        )

    def _parent_run(
        self, facts: ExperimentFacts, record: SweepRecord, study: optuna.Study, is_new: bool
    ) -> str:
        if not is_new:  # otherwise two workers might each create a run
            studies.await_attribute(study, studies.PARENT_RUN, studies.SECONDS_TO_BEGIN)
        tags = {
            "scale": self.scale,
            "objectives": ", ".join(self.objectives),
            "budget": self.budget.text if self.budget else OWN_LENGTH,
        }
        run_id = record.begin(study, facts.name, tags, self.space.text)
        study.set_user_attr(studies.PARENT_RUN, run_id)
        return run_id

    def _enqueue_guesses(
        self, study: optuna.Study, facts: ExperimentFacts, settings: TrialSettings, with_rates: bool
    ) -> None:
        """Enqueue the experiment's own values, then the same with the learning rates of the range test."""
        held = self.space.distributions
        own = {key: value for key, value in facts.own_values.items() if held[key].holds(value)}
        if outside := sorted(set(facts.own_values) - set(own)):
            print(f"The experiment's own values are outside the space for {', '.join(outside)}.", flush=True)
        study.enqueue_trial(self.space.stored(own))
        if with_rates and learning_rates.wants_rates(self.space):
            print("Range test, for the first learning rates to try", flush=True)
            suggested = learning_rates.suggested_rates(settings.fit, self.space, settings.folder, self.name)
            print(", ".join(f"{key} {rate:.1e}" for key, rate in suggested.items()), flush=True)
            if suggested:
                study.enqueue_trial(self.space.stored(own | suggested))

    def _work(self, worker: Worker, jobs: int) -> None:
        n_finished = studies.n_finished(worker.study)
        print(f"Sweep {self.name}: {n_finished} of {worker.n_trials} trials", flush=True)
        status = "KILLED"
        try:
            worker.work(jobs)
            status = "FINISHED"
        except TrialFailed:
            status = "FAILED"
            raise
        finally:
            worker.record.disown_failed_trials(worker.study)
            if status != "FINISHED" and not studies.n_running(worker.study):
                worker.record.end(status)

    def _write_outcome(self, study: optuna.Study, record: SweepRecord) -> None:
        configs = write_best(study, record.folder, self.experiment, self.space, self.objectives)
        pictures = draw(study, self.objectives, record.folder / "pictures")
        record.end("FINISHED", [*configs, *pictures], self._best_values(study))
        for path in configs:
            print(path.read_text(encoding="utf-8").split("\n")[0].lstrip("# "))
            print(f"  python -m experiments.run fit --config {path} --scale {self.scale}")
        print(
            f"Pictures are in {record.folder / 'pictures'}. MLflow's run 'sweep {self.name}' has everything."
        )

    def _best_values(self, study: optuna.Study) -> dict[str, float]:
        found = {}
        for index, (metric, direction) in enumerate(zip(self.objectives, study.directions, strict=True)):
            values = [trial.values[index] for trial in study.best_trials]
            if values:
                better = max if direction == optuna.study.StudyDirection.MAXIMIZE else min
                found[f"best/{metric}"] = better(values)
        return found
