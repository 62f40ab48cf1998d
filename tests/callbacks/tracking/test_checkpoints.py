"""Checkpoints that fit, that do not, and that would run code."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from callbacks.tracking import checkpoints
from callbacks.tracking.mlflow_store import connect
from experiments.command_line.cli import SuiteCLI
from runtime.errors import UserError
from tests.conftest import SIXTH, Trained, working_in

TRUSTED = (*checkpoints.TRUSTED, "tests.experiments")


@pytest.fixture
def checkpoint(trained: Trained) -> Path:
    return trained.run_dir / "checkpoints" / "best.ckpt"


def changed(checkpoint: Path, folder: Path, **params: Any) -> Path:
    """A copy of the checkpoint with other parameters."""
    content = torch.load(checkpoint, weights_only=True)
    content["hyper_parameters"].update(params)
    torch.save(content, folder / "changed.ckpt")
    return folder / "changed.ckpt"


def test_a_module_comes_back_as_it_was_trained(trained: Trained, checkpoint: Path) -> None:
    filters = list(warnings.filters)
    module = checkpoints.load_module(checkpoint, TRUSTED)
    assert warnings.filters == filters  # loading silences nothing for those who come later
    stored = torch.load(checkpoint, weights_only=True)["state_dict"]["network.taps"]
    assert torch.equal(module.network.taps, stored)
    assert module.sample_rate == 16000
    assert module.instruments == ["dull", "bright"]
    assert not module.training


@pytest.mark.parametrize(
    "how",
    [
        *("path", "folder", "run name", "name in MLflow", "experiment", "run id"),
        *(
            "models:/sixth@best",
            "models:/sixth@sixth",
            "models:/sixth/1",
            "models:/sixth/latest",
            "models:/sixth",
        ),
    ],
)
def test_a_run_can_be_named_in_many_ways(trained: Trained, checkpoint: Path, how: str) -> None:
    from callbacks.tracking.outbox import Journal

    run_id = Journal(trained.run_dir).delivered(trained.uri)[0]
    assert run_id is not None
    names = {
        "path": str(checkpoint),
        "folder": str(trained.run_dir),
        "run name": trained.run_dir.name,
        "name in MLflow": connect(trained.uri).get_run(run_id).info.run_name,
        "experiment": "sixth",
        "run id": run_id,
    }
    with working_in(trained.root):
        assert checkpoints.find(names.get(how, how)).resolve() == checkpoint


def test_a_run_of_another_machine_is_downloaded(trained: Trained, tmp_path: Path) -> None:
    from callbacks.tracking.outbox import Journal

    run_id = Journal(trained.run_dir).delivered(trained.uri)[0]
    with working_in(trained.root):
        path = checkpoints.find(run_id, runs_dir=tmp_path)
    assert path.is_relative_to(tmp_path)
    checkpoints.load_module(path, TRUSTED)


def test_an_architecture_s_name_finds_its_best_registered_version(trained: Trained, tmp_path: Path) -> None:
    with working_in(trained.root):
        path = checkpoints.find("sixth", runs_dir=tmp_path)
        assert path.is_relative_to(tmp_path)
        checkpoints.load_module(path, TRUSTED)
        with pytest.raises(UserError, match="no registered model 'models:/sixht'"):
            checkpoints.find("sixht", runs_dir=tmp_path)


@pytest.mark.parametrize("name", ["nothing", "0" * 32, "no/where.ckpt", "models:/ddsp@best", "models:ddsp"])
def test_what_does_not_exist_is_said(workplace: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"no run|no checkpoint|no best checkpoint|no address"):
        checkpoints.read(checkpoints.find(name))
    assert not (workplace / "mlflow.db").exists() or name == "0" * 32


@pytest.mark.parametrize(
    "params",
    [
        {"_class_path": "os.system"},
        {"_class_path": "subprocess.Popen", "args": "touch it_ran"},
        {"optimizer": "os.system"},
        {"optimizer": {"class_path": "builtins.exec", "init_args": {}}},
        {"optimizer": "{class_path: subprocess.Popen}"},
        {"optimizer": "lightning_modules.transfer_module.torch.hub.load"},
        {"loss_weights": {"class_path": "lightning_modules.transfer_module.torch"}},
        {"optimizer": "elsewhere.yaml"},
        {"_instantiator": "builtins.exec"},
        {"_class_path": None},
    ],
)
def test_a_class_path_to_foreign_code_is_refused(
    checkpoint: Path, tmp_path: Path, params: dict[str, Any]
) -> None:
    path = changed(checkpoint, tmp_path, **params)
    with pytest.raises(UserError, match=r"was not opened|does not say its class"):
        checkpoints.load_module(path, TRUSTED)


def test_own_packages_are_trusted_only_when_named(checkpoint: Path) -> None:
    with pytest.raises(UserError, match="add --trust with its package"):
        checkpoints.load_module(checkpoint)


@pytest.mark.parametrize(
    "params",
    [
        {"_class_path": "lightning_modules.old_place.OldModule"},
        {"network": "lightning_modules.pix2pix.OldUNet"},
    ],
)
def test_a_class_that_was_moved_is_said(checkpoint: Path, tmp_path: Path, params: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"Old\w+ and was not opened: .* moved or removed; use the version"):
        checkpoints.load_module(changed(checkpoint, tmp_path, **params), TRUSTED)


def test_parameters_without_end_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    bomb: list[Any] = ["boom"]
    for _ in range(40):
        bomb = [bomb, bomb]
    with pytest.raises(UserError, match="have no end"):
        checkpoints.load_module(changed(checkpoint, tmp_path, loss_weights=bomb), TRUSTED)


def test_weights_that_do_not_fit_are_said(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not fit this version"):
        checkpoints.load_module(changed(checkpoint, tmp_path, n_taps=5), TRUSTED)


def test_other_architecture_and_other_rate_end_in_one_sentence(
    trained: Trained, checkpoint: Path, tmp_path: Path
) -> None:
    other = changed(checkpoint, tmp_path, _class_path="lightning_modules.other.OtherModule")
    with working_in(trained.root):
        with pytest.raises(UserError, match=r"is a checkpoint of lightning_modules.other.OtherModule"):
            SuiteCLI(["test", "--config", str(SIXTH), "--ckpt_path", str(other)])
        with pytest.raises(UserError, match=r"was trained at 16000 Hz, the config asks for 24000 Hz"):
            rate = ["--data.init_args.sample_rate", "24000"]
            SuiteCLI(["test", "--config", str(SIXTH), "--ckpt_path", str(checkpoint), *rate])
        with pytest.raises(UserError, match="There is no best checkpoint of 'copy'"):
            SuiteCLI(["test", "--config", str(SIXTH), "--experiment", "copy", "--ckpt_path", "best"])


def test_a_checkpoint_elsewhere_starts_a_run_of_its_own(checkpoint: Path, workplace: Path) -> None:
    moved = workplace / "moved.ckpt"
    shutil.copy(checkpoint, moved)
    SuiteCLI(["test", "--config", str(SIXTH), "--ckpt_path", str(moved)])
    assert len(list((workplace / "runs" / "sixth").iterdir())) == 1
