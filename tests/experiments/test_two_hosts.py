"""Two hosts train one run and use one tracking server: network namespaces with a cable between them.

``pytest --two-hosts``, as root.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from callbacks.tracking.outbox import Journal
from tests.conftest import ROOT
from tests.experiments.kill_and_resume import configs

HOSTS = ("transfer-host-0", "transfer-host-1")
ADDRESSES = ("10.177.77.1", "10.177.77.2")
NAMES = Path("/etc/netns")
"""Where `ip netns exec` finds the names that a namespace knows."""
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
            names = NAMES / host / "hosts"
            names.parent.mkdir(parents=True)
            names.write_text(f"127.0.0.1 localhost\n{ADDRESSES[0]} tracking\n")
            ip("-n", host, "address", "add", f"{address}/30", "dev", "cable")
            for device in ("lo", "cable"):
                ip("-n", host, "link", "set", device, "up")
        yield
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', '') or error}")
    finally:
        for host in HOSTS:
            subprocess.run(["ip", "netns", "delete", host], check=False, capture_output=True)
            shutil.rmtree(NAMES / host, ignore_errors=True)


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
        with (workplace / f"{host}.log").open("w") as log:
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


def command_of_page(store: Path) -> list[str]:
    """The server's command as docs/team.md has it, with a file and a folder for database and bucket."""
    page = (ROOT / "docs" / "team.md").read_text(encoding="utf-8")
    text = page[page.index("\nmlflow server") : page.index("--artifacts-destination s3")]
    command = shlex.split(text.replace("\\\n", " "))
    storage = command.index("--backend-store-uri")
    places = ["--backend-store-uri", f"sqlite:///{store}/server.db", "--artifacts-destination", str(store)]
    places += ["--workers", "1"]  # is up sooner
    return [sys.executable, "-m", *command[:storage], *places]


SEARCH_AS_A_BROWSER = """
import json, sys, urllib.request
uri = sys.argv[1]
headers = {"Content-Type": "application/json", "Origin": uri}
address = f"{uri}/ajax-api/2.0/mlflow/experiments/search"
request = urllib.request.Request(address, b'{"max_results": 9}', headers)
print([found["name"] for found in json.load(urllib.request.urlopen(request, timeout=20))["experiments"]])
"""


@pytest.mark.usefixtures("hosts")
def test_a_tracking_server_answers_under_the_name_on_the_page(workplace: Path) -> None:
    journal = Journal(workplace / "runs" / "ddsp" / "one")
    journal.start("ddsp", "one")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.pop("MLFLOW_TRACKING_URI")
    with (workplace / "server.log").open("w") as log:
        command = on(HOSTS[0], *command_of_page(workplace))
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    uri = "http://tracking:5000"
    send = ["-m", "experiments.outbox", "send", "--uri", uri, "runs/ddsp/one"]
    try:
        for python in (send, ["-c", SEARCH_AS_A_BROWSER, uri]):
            done = until_it_succeeds(on(HOSTS[1], sys.executable, *python), environment)
            assert done.returncode == 0, done.stderr + (workplace / "server.log").read_text()[-2000:]
        assert "'ddsp'" in done.stdout
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def until_it_succeeds(
    command: list[str], environment: dict[str, str], seconds: float = 240
) -> subprocess.CompletedProcess[str]:
    """Run a command again while the server is still starting."""
    end = time.monotonic() + seconds
    while True:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode == 0 or time.monotonic() > end:
            return done
        time.sleep(1)
