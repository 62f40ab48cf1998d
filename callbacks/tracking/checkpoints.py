"""Checkpoints: find one by the name of a run, and rebuild its module from classes that are trusted."""

from __future__ import annotations

import importlib
import importlib.util
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callbacks.tracking.checkpoint_files import read, reason
from callbacks.tracking.mlflow_store import BEST_ALIAS, connect, default_tracking_uri, is_there
from callbacks.tracking.outbox import DELIVERED, RUNS_DIR, Journal
from runtime.databases import hidden
from runtime.errors import UserError

if TYPE_CHECKING:
    from lightning_modules.transfer_module import TimbreTransferModule

FOLDER = "checkpoints"
"""The folder of a run's checkpoints, in the run's own folder and in MLflow."""
BEST, LAST = "best", "last"
"""The checkpoint that is best by a validation metric, and the last one."""
TRUSTED = ("lightning_modules", "datamodules", "torch.optim", "torch.nn")
"""Packages whose classes a checkpoint may name; a class path is an order to run that class' code."""
INSTANTIATOR = "lightning.pytorch.cli.instantiate_module"
USE_ITS_VERSION = "use the version of the suite that wrote it (tag mlflow.source.git.commit of its run)."
MOST_PARAMETERS = 100_000
"""More parts than any parameters have; references make any number of a small file."""
DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
RUN_ID = re.compile(r"[0-9a-f]{32}")
REGISTERED = re.compile(r"models:/(?P<name>[^@/]+)(?:@(?P<alias>.+)|/(?P<version>\d+|latest))?")


def require_fit(path: Path, class_path: str, sample_rate: int | None) -> None:
    """Check that the checkpoint belongs to a module and data.

    Raises:
        UserError: it is of another architecture or another sample rate.
    """
    params = read(path)["hyper_parameters"]
    if params.get("_class_path") != class_path:
        raise UserError(
            f"{path} is a checkpoint of {params.get('_class_path')}, the config asks for {class_path}; "
            "choose the experiment that it was trained with."
        )
    if sample_rate is not None and params.get("sample_rate") != sample_rate:
        raise UserError(
            f"{path} was trained at {params.get('sample_rate')} Hz, the config asks for {sample_rate} Hz; "
            f"set --data.init_args.sample_rate {params.get('sample_rate')}."
        )


def load_module(path: Path, trusted: Sequence[str] = TRUSTED) -> TimbreTransferModule:
    """Rebuild the trained module of a checkpoint, on the CPU and in evaluation mode.

    Args:
        path: a checkpoint written by `experiments.run`.
        trusted: packages whose classes the checkpoint may name.

    Raises:
        UserError: see `read` and `require_trusted`; or the weights do not fit the parameters.
    """
    params = read(path)["hyper_parameters"]
    require_trusted(path, params, trusted)
    from lightning_modules.transfer_module import TimbreTransferModule

    module_path, _, name = params["_class_path"].rpartition(".")
    cls = getattr(importlib.import_module(module_path), name)
    if not issubclass(cls, TimbreTransferModule):
        raise UserError(f"{path} holds a {params['_class_path']}, which is no timbre transfer.")
    try:
        with warnings.catch_warnings():
            # The parameters that matter are in the checkpoint; nothing is saved from this instance.
            warnings.filterwarnings("ignore", message="Attribute '.*' is an instance of `nn.Module`")
            return cls.load_from_checkpoint(path, map_location="cpu", weights_only=True, strict=True).eval()
    except Exception as error:  # whatever a class makes of parameters that are not meant for it
        raise UserError(
            f"{path} does not fit this version of {params['_class_path']}: {reason(error)}; {USE_ITS_VERSION}"
        ) from error


def require_trusted(path: Path, params: dict[str, Any], trusted: Sequence[str] = TRUSTED) -> None:
    """Check that the parameters name no code but classes of ``trusted`` packages.

    Loading imports and calls what a parameter names, wherever a string stands, so every string counts.

    Raises:
        UserError: names what is refused.
    """
    if not isinstance(params.get("_class_path"), str) or params.get("_instantiator") != INSTANTIATOR:
        raise UserError(f"{path} was not written by `python -m experiments.run`: it does not say its class.")
    rest = {key: value for key, value in params.items() if key != "_instantiator"}
    for text in _strings(path, rest):
        if text.endswith((".yaml", ".yml", ".json")):  # jsonargparse would read that file
            raise UserError(f"{path} refers to the file '{text}' and was not opened.")
        for name in DOTTED_NAME.findall(text):
            if _below(name, trusted) and _found(name) is None:
                raise UserError(
                    f"{path} names {name} and was not opened: this version of the suite has no such class, "
                    f"which was moved or removed; {USE_ITS_VERSION}"
                )
            if _is_code(name) and not _is_trusted_class(name, trusted):
                raise UserError(
                    f"{path} names {name}, which is no class of {', '.join(trusted)}, and was not opened: it "
                    "could run any code; if you know where it is from, add --trust with its package."
                )


def _strings(path: Path, params: dict[str, Any]) -> Iterator[str]:
    """Give every string in the parameters, wherever it stands."""
    parts: list[Any] = [params]
    for _ in range(MOST_PARAMETERS):
        if not parts:
            return
        part = parts.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            parts += [*part.keys(), *part.values()]
        elif isinstance(part, list | tuple | set):
            parts += part
    raise UserError(f"{path} was not opened: its hyper_parameters have no end; copy it again.")


def _is_code(name: str) -> bool:
    """Whether the first part of a dotted name is something Python could import; file names are not."""
    try:
        return importlib.util.find_spec(name.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return True


def _is_trusted_class(name: str, trusted: Sequence[str]) -> bool:
    found = _found(name) if _below(name, trusted) else None
    # "lightning_modules.ddsp.module.torch" is below a trusted package and not of it.
    return isinstance(found, type) and _below(found.__module__, trusted)


def _found(name: str) -> Any:
    """What has this dotted name, or ``None``; imports the module."""
    module_path, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module_path), attribute, None)
    except ImportError:
        return None


def _below(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def find(name: str, experiment: str | None = None, runs_dir: str | Path = RUNS_DIR) -> Path:
    """The checkpoint that a user means.

    Args:
        name: a ``.ckpt`` file; a run's folder, name (with or without its experiment's before it, or as MLflow
            shows it) or MLflow id: its best checkpoint; an experiment's name
            (the best of its latest run); ``best`` or ``last`` (of the latest run of ``experiment``);
            ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``models:/NAME`` of MLflow's model registry,
            where ``NAME`` alone is looked for last.
        experiment: whose runs ``best`` and ``last`` are about.
        runs_dir: where the folders of runs are.
    """
    if name in (BEST, LAST) and experiment is not None:
        return _of_latest_run(Path(runs_dir) / experiment, name)
    if name.startswith("models:"):
        return _of_registered(name, Path(runs_dir))
    path = Path(name)
    if (path / FOLDER).is_dir():  # and not a package of the same name, for one
        return _of_run(path)
    if path.suffix == ".ckpt" or path.is_file():
        return path
    in_runs = Path(runs_dir) / name
    in_mlflow, _, of = name.rpartition(" ")  # the end of the folder's name, and the experiment
    for pattern in (f"*/{name}", *([f"{of}/*{in_mlflow}"] if in_mlflow else [])):
        for run_dir in sorted(Path(runs_dir).glob(pattern)):
            return _of_run(run_dir)
    if (in_runs / FOLDER).is_dir():
        return _of_run(in_runs)
    if in_runs.is_dir():
        return _of_latest_run(in_runs, BEST)
    if RUN_ID.fullmatch(name):
        return _of_run_id(name, Path(runs_dir))
    if path.parent == Path() and is_there(default_tracking_uri()):
        return _of_registered(f"models:/{name}", Path(runs_dir))
    raise UserError(f"There is no run, run folder or checkpoint '{name}' (looked in {runs_dir}/ too).")


def checkpoint_path(run_dir: Path, which: str) -> Path:
    """The place of a run's checkpoint `BEST` or `LAST`."""
    return run_dir / FOLDER / f"{which}.ckpt"


def _of_run(run_dir: Path) -> Path:
    paths = [checkpoint_path(run_dir, which) for which in (BEST, LAST)]
    for path in paths:
        if path.is_file():
            return path
    raise UserError(f"The run {run_dir} has no checkpoint (looked for {' and '.join(map(str, paths))}).")


def _of_run_id(run_id: str, runs_dir: Path) -> Path:
    """The checkpoint of a run that MLflow knows: from this machine's folder, else downloaded."""
    for delivered in runs_dir.glob(f"*/*/{DELIVERED}"):
        if run_id in Journal(delivered.parent).run_ids():
            return _of_run(delivered.parent)
    folder = runs_dir / "downloaded" / run_id
    folder.mkdir(parents=True, exist_ok=True)
    uri = default_tracking_uri()
    server = hidden(uri)
    try:
        return Path(connect(uri).download_artifacts(run_id, f"{FOLDER}/{BEST}.ckpt", str(folder)))
    except Exception as error:  # mlflow has a different error per store
        folder.rmdir()
        raise UserError(
            f"There is no best checkpoint of run {run_id} on {server}: {reason(error)}."
        ) from error


def _of_registered(address: str, runs_dir: Path) -> Path:
    """The checkpoint of a version of a registered model: that of the run which registered it."""
    parts = REGISTERED.fullmatch(address)
    if parts is None:
        raise UserError(f"'{address}' is no address of a registered model; write models:/NAME@ALIAS.")
    uri = default_tracking_uri()
    try:
        if not is_there(uri):
            raise FileNotFoundError("there is no such file")
        run_id = _version(connect(uri), **parts.groupdict()).run_id
    except Exception as error:  # mlflow has a different error per store
        raise UserError(
            f"There is no run or checkpoint in {runs_dir}/ and no registered model '{address}' on "
            f"{hidden(uri)}: {reason(error)}."
        ) from error
    return _of_run_id(run_id, runs_dir)


def _version(client: Any, name: str, alias: str | None, version: str | None) -> Any:
    """A model version; by the alias ``best`` where neither alias nor version is given."""
    if version == "latest":
        return max(client.search_model_versions(f"name = '{name}'"), key=lambda found: int(found.version))
    if version is not None:
        return client.get_model_version(name, version)
    return client.get_model_version_by_alias(name, alias or BEST_ALIAS)


def _of_latest_run(experiment_dir: Path, which: str) -> Path:
    # Names of runs begin with the time, so the last one by name is the latest.
    found = sorted(experiment_dir.glob(f"*/{FOLDER}/{which}.ckpt"))
    if not found:
        raise UserError(
            f"There is no {which} checkpoint of '{experiment_dir.name}' in {experiment_dir.parent}/; "
            f"train one with `python -m experiments.run fit --config {experiment_dir.name}`."
        )
    return found[-1]
