"""Parts of another run's checkpoint: their weights arrive and stand still, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from callbacks.pretrained import PretrainedParts
from experiments.command_line.cli import SuiteCLI
from lightning_modules.transfer_module import TimbreTransferModule
from runtime.errors import UserError
from tests.trainers import quiet_trainer

SMALL = {
    "network": {"init_args": {"channels": 16}},
    "discriminator": {"init_args": {"channels": [8, 16], "group_size": 8, "initial_std": None}},
}


def configured(path: Path, channels: int = 16) -> list[str]:
    """The arguments of a small vocoder."""
    parts = SMALL | {"network": {"init_args": {"channels": channels, "initial_std": None}}}
    path.write_text(yaml.safe_dump({"model": {"init_args": parts}}))
    return ["--config", "melgan_vocoder", "--config", str(path)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of another vocoder than seed 0 gives."""
    folder = tmp_path_factory.mktemp("pretrained")
    other = untrained(folder, seed=1)
    trainer = quiet_trainer(default_root_dir=folder)
    trainer.strategy.connect(other)
    other.trainer = trainer
    trainer.save_checkpoint(folder / "other.ckpt")
    return folder / "other.ckpt"


def untrained(folder: Path, channels: int = 16, seed: int = 0) -> TimbreTransferModule:
    options = [*configured(folder / "small.yaml", channels), "--seed_everything", str(seed)]
    return SuiteCLI(options, run=False).model


def set_up(
    checkpoint: Path | str, parts: list[str], module: TimbreTransferModule, frozen: bool = True
) -> None:
    PretrainedParts(str(checkpoint), parts, frozen).setup(None, module, "fit")  # type: ignore[arg-type]


def test_named_parts_arrive_and_stand_still(checkpoint: Path, tmp_path: Path) -> None:
    stored = torch.load(checkpoint, weights_only=True)["state_dict"]
    module = untrained(tmp_path)
    set_up(checkpoint, ["network"], module)
    for name, weights in module.network.state_dict().items():
        assert torch.equal(weights, stored[f"network.{name}"])
    assert not any(p.requires_grad for p in module.network.parameters())
    assert all(p.requires_grad for p in module.discriminator.parameters())
    last = "discriminator.discriminators.0.conv_post.parametrizations.weight.original1"
    assert not torch.equal(module.state_dict()[last], stored[last])


def test_parts_may_go_on_learning(checkpoint: Path, tmp_path: Path) -> None:
    module = untrained(tmp_path)
    set_up(checkpoint, ["network"], module, frozen=False)
    assert all(p.requires_grad for p in module.parameters())


def test_what_does_not_fit_is_named(checkpoint: Path, tmp_path: Path) -> None:
    module, larger = untrained(tmp_path), untrained(tmp_path, channels=32)
    with pytest.raises(UserError, match=r"cannot take 'translator' from .*other\.ckpt.*MelGANModule"):
        set_up(checkpoint, ["translator"], module)
    with pytest.raises(
        UserError, match=r"'network' of .*has other sizes than this experiment's: size mismatch"
    ):
        set_up(checkpoint, ["network"], larger)
    with pytest.raises(UserError, match="no run"):
        set_up("nothing", ["network"], module)
