"""The one LightningCLI of the suite: how YAML files and a command line become a model, data and a trainer.

`resolver` finds and layers the configs before any parsing; docs/tracking.md says what a run
keeps. Values that model and data must share are linked here, once: sample rate, instruments and pitch
tracker.
"""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import lightning as L
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from callbacks.checkpointing import WholeCheckpoints
from callbacks.run_record import RunRecord
from callbacks.tracking import checkpoints
from callbacks.tracking.tracker import RunTracker, new_run_name, tracker_of
from experiments.command_line.checking import check
from experiments.command_line.keys import SECTIONS, RunOptions
from experiments.command_line.launchers import process_settings
from experiments.command_line.parser_errors import explain
from experiments.command_line.resolver import ResolvedConfig, resolve
from experiments.command_line.terminal_output import Progress, silence_libraries
from experiments.command_line.trainer_settings import averaging, compile_networks, stepping_settings
from lightning_modules.transfer_module import TimbreTransferModule
from runtime.errors import UserError, is_meant_for_users, users_error
from runtime.messages import say
from runtime.processes import ending_on_sigterm


class ConfigParser(LightningArgumentParser):
    """A parser that knows no abbreviations, and whose errors are one sentence with the nearest right name."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "allow_abbrev": False})

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise `UserError`."""
        raise UserError(explain(message, (action.dest for action in self._actions))) from ex


class SuiteCLI(LightningCLI):
    """Build, and with ``run`` start, what an experiment's configs describe.

    Args:
        arguments: ``[subcommand, "--config", NAME, …]`` as on the command line; without ``run`` the
            subcommand is left out and no trainer is made.
        run: whether to run the subcommand.
        resolved: what the arguments behind the subcommand ask for, where they are resolved already.
    """

    sections: Mapping[str, str] = SECTIONS
    """The keys below which a class has its settings."""

    def __init__(
        self, arguments: list[str], run: bool = True, resolved: ResolvedConfig | None = None
    ) -> None:
        subcommand, options = (arguments[:1], arguments[1:]) if run else ([], arguments)
        silence_libraries()
        self.resolved = resolved or resolve(options)
        check(self.resolved, self.sections)
        self._typed = options
        super().__init__(
            TimbreTransferModule,
            L.LightningDataModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            parser_class=ConfigParser,
            save_config_callback=RunRecord,
            save_config_kwargs={"save_to_log_dir": False},
            auto_configure_optimizers=False,
            args=[*subcommand, *self.resolved.arguments()],
            run=run,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the suite's own keys, the callbacks that are always there, and the links."""
        parser.add_class_arguments(RunOptions, instantiate=False)
        for key, path in self.sections.items():
            found = class_at(path)
            if issubclass(found, L.Callback):
                parser.add_lightning_class_args(found, key)
            elif key != "trainer":  # which Lightning adds itself
                parser.add_class_arguments(found, key)
        # Ignored by jsonargparse where the model or the data has no such parameter.
        parser.link_arguments("data.init_args.sample_rate", "model.init_args.sample_rate")
        parser.link_arguments("data.init_args.pitch_tracker", "model.init_args.pitch_tracker")
        parser.link_arguments("data.instruments", "model.init_args.instruments", apply_on="instantiate")

    def _prepare_subcommand_parser(
        self, klass: type, subcommand: str, **kwargs: Any
    ) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        parser.set_defaults({"weights_only": True})  # a checkpoint from a stranger must not run code
        if subcommand == "test":
            parser.set_defaults({"verbose": False})  # `TestTableArtifact` prints what was measured
        return parser

    def _parse_ckpt_path(self) -> None:
        """Find the checkpoint meant by ``--ckpt_path`` and check that it fits the config.

        Lightning's own version takes the model's parameters from the checkpoint; here the config decides.
        """
        subcommand = self.config.get("subcommand")
        if subcommand is None or not self.config[subcommand].get("ckpt_path"):
            return
        config = self.config[subcommand]
        path = checkpoints.find(config.ckpt_path, config.experiment, config.runs_dir)
        checkpoints.require_fit(path, config.model.class_path, config.model.init_args.get("sample_rate"))
        config.ckpt_path = str(path)

    def instantiate_classes(self) -> None:
        """Make model, data and trainer; what they cannot be made with is one sentence."""
        try:
            super().instantiate_classes()
        except Exception as error:
            if users_error(error) is not None:
                raise
            raise UserError(f"This config cannot be built: {where_it_failed(error)}.") from error

    def instantiate_trainer(self, **kwargs: Any) -> L.Trainer | None:  # type: ignore[override]
        """Make the trainer with the run's tracker, unless ``--trainer.logger false``; none without `run`."""
        if self.subcommand is None:
            return None
        settings = self._get(self.config_init, "trainer")
        if settings.logger is not False:
            kwargs["logger"] = self._tracker()
        kwargs["plugins"] = [WholeCheckpoints(), *listed(settings.plugins)]
        callbacks = listed(settings.callbacks)
        if settings.enable_progress_bar is not False:
            callbacks = [*callbacks, Progress()]
        if (decay := self._get(self.config, "ema_decay")) is not None:
            callbacks = [*callbacks, averaging(decay)]
        if self._get(self.config, "compile"):
            compile_networks(self.model)
        kwargs["callbacks"] = callbacks
        kwargs |= process_settings(vars(settings))
        kwargs |= stepping_settings(vars(settings), self.model, callbacks)
        trainer = super().instantiate_trainer(**kwargs)
        if trainer.is_global_zero:
            say(self._introduction(tracker_of(trainer)))
        return trainer

    def _introduction(self, tracker: RunTracker | None) -> str:
        """What runs, and where it goes."""
        config = self.config[self.subcommand]
        place = "nothing is kept" if tracker is None else tracker.run_dir
        return f"{config.experiment} at {config.scale} scale, seed {config.seed_everything}: {place}"

    def _tracker(self) -> RunTracker:
        config = self.config[self.subcommand]
        name = config.run_name or self._continued_run() or new_run_name(config.scale, config.seed_everything)
        return RunTracker(config.experiment, name, config.runs_dir)

    def _continued_run(self) -> str | None:
        """Name of the run to which the checkpoint belongs, where that is a run of this experiment."""
        config = self.config[self.subcommand]
        if not config.get("ckpt_path"):
            return None
        run_dir = Path(config.ckpt_path).resolve().parents[1]
        return (
            run_dir.name if run_dir.parent == (Path(config.runs_dir) / config.experiment).resolve() else None
        )

    def fit(self, **arguments: Any) -> None:
        """Train. Ctrl-C leaves ``last.ckpt`` behind and says how to go on."""
        if self.model.is_anchor:
            name = self.resolved.experiment
            raise UserError(f"'{name}' is an anchor and has nothing to train: use `test --config {name}`.")
        self.train(**arguments)

    def train(self, **arguments: Any) -> None:
        """What `fit` does with an architecture that can be trained."""
        try:
            self.trainer.fit(**arguments)
        except SystemExit:
            say(f"\nInterrupted. Go on with: {self._continuation()}")
            raise
        except OSError as error:
            if not is_meant_for_users(error):
                raise
            place = error.filename or self.trainer.log_dir
            raise UserError(
                f"{place} could not be written: {error.strerror}. Make room for it, and go on with: "
                f"{self._continuation()}"
            ) from error

    def after_fit(self) -> None:
        """Validate thoroughly and test the best checkpoint (the last one where nothing was validated)."""
        if getattr(self.trainer, "fast_dev_run", False):
            return
        config = self.config[self.subcommand]
        callback = self.trainer.checkpoint_callback
        path = getattr(callback, "best_model_path", None) or getattr(callback, "last_model_path", None)
        of_best = {"datamodule": self.datamodule, "ckpt_path": path, "weights_only": True}
        with ending_on_sigterm():
            if config.validate_after_fit:
                self.trainer.validate(self.model, **of_best)
            if config.test_after_fit:
                self.trainer.test(self.model, verbose=False, **of_best)

    def _run_subcommand(self, subcommand: str) -> None:
        # A training ends after its step; whatever else there is ends at once.
        with nullcontext() if subcommand == "fit" else ending_on_sigterm():
            super()._run_subcommand(subcommand)

    def predict(self, **arguments: Any) -> None:
        """Write the transfers of the test clips as files; `PredictionFiles` does, so nothing is collected."""
        self.trainer.predict(**{**arguments, "return_predictions": False})

    def _continuation(self) -> str:
        """The command that goes on from the last checkpoint, or begins again where there is none."""
        last = getattr(self.trainer.checkpoint_callback, "last_model_path", "")
        return f"python -m experiments.run fit {shlex.join(self._typed)}{' --ckpt_path last' if last else ''}"


def class_at(path: str) -> type:
    """The class with this dotted name."""
    module, _, name = path.rpartition(".")
    found: type = getattr(import_module(module), name)
    return found


def where_it_failed(error: BaseException) -> str:
    """What went wrong at first, and in which line, of an error that other errors were raised over."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    frames = traceback.extract_tb(error.__traceback__)
    # The innermost line of the suite or of a user; where a library was called by nobody else, its own.
    frame = next((frame for frame in reversed(frames) if "site-packages" not in frame.filename), frames[-1])
    text = " ".join(str(error).split()) or "no reason is given"
    return f"{text.strip(' .')} ({type(error).__name__} in {frame.filename}, line {frame.lineno})"


def listed(setting: Any) -> list[Any]:
    """What a trainer takes as a list, as one, or not at all."""
    return setting if isinstance(setting, list) else [] if setting is None else [setting]


def build_model(experiment: str, scale: str | None = None) -> TimbreTransferModule:
    """The untrained module of an experiment, with nothing trained, prepared or tracked.

    Args:
        experiment: a name in ``experiments/configs`` or a path.
        scale: ``demo`` or ``paper``; default ``demo``.
    """
    arguments = ["--config", experiment, *(["--scale", scale] if scale else [])]
    return SuiteCLI(arguments, run=False).model
