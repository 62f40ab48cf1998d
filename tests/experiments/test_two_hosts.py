"""Two hosts train one run: network namespaces with a cable between them. ``pytest --two-hosts``, as root."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from tests.experiments.kill_and_resume import configs

HOSTS = ("transfer-host-0", "transfer-host-1")
ADDRESSES = ("10.177.77.1", "10.177.77.2")
PORT = 29_531
N_BATCHES = 4


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


def on(host: str, *command: str) -> list[str]:
    return ["ip", "netns", "exec", host, *command]


@pytest.fixture
def hosts(request: pytest.FixtureRequest) -> Iterator[None]:
    """Two namespaces, each with its own loopback and one end of a cable; nothing leads out of them."""
    if not request.config.getoption("--two-hosts"):
        pytest.skip("two hosts are made of network namespaces: ask for them with --two-hosts, as root")
    try:
        for host in HOSTS:
            ip("netns", "add", host)
        ip("link", "add", "cable", "netns", HOSTS[0], "type", "veth", "peer", "cable", "netns", HOSTS[1])
        for host, address in zip(HOSTS, ADDRESSES, strict=True):
            ip("-n", host, "address", "add", f"{address}/30", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", host, "link", "set", device, "up")
        yield
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', '') or error}")
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "delete", host], check=False, capture_output=True)


def received_bytes(host: str) -> int:
    counter = on(host, "cat", "/sys/class/net/cable/statistics/rx_bytes")
    return int(subprocess.run(counter, check=True, capture_output=True, text=True).stdout)


@pytest.mark.usefixtures("hosts", "tiny_corpus")
def test_two_hosts_train_one_run(tiny_corpora_dir: Path, workplace: Path) -> None:
    options = [
        *configs("pix2pix", tiny_corpora_dir),
        *("--trainer.max_epochs", "1", "--data.init_args.batches_per_epoch", str(N_BATCHES)),
        *("--audio_examples.n_test", "0"),
    ]
    launch = f"--nnodes=2 --nproc-per-node=1 --master-addr={ADDRESSES[0]} --master-port={PORT}".split()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "cable"}
    trainings = []
    for rank, host in enumerate(HOSTS):
        torchrun = [sys.executable, "-m", "torch.distributed.run", *launch, f"--node-rank={rank}"]
        command = on(host, *torchrun, "-m", "experiments.run", "fit", *options)
        log = (workplace / f"{host}.log").open("w")
        trainings.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
    codes = [training.wait() for training in trainings]
    assert codes == [0, 0], [(workplace / f"{host}.log").read_text()[-2000:] for host in HOSTS]
    [run_dir] = workplace.glob("runs/*/*")
    with sqlite3.connect("mlflow.db") as store:
        assert store.execute("SELECT status FROM runs").fetchall() == [("FINISHED",)]
    assert (run_dir / "test_table.json").is_file()
    weights = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    n_bytes = 4 * sum(tensor.numel() for tensor in weights.values())
    assert all(received_bytes(host) > N_BATCHES * n_bytes for host in HOSTS)  # gradients of every step
