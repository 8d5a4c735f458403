"""A real SLURM for the tests: munged, slurmctld and emulated nodes, all state in a temporary folder, gone afterwards.

It runs as the user who runs the tests, without systemd and without a file under /etc. Where its programs are not
installed the tests skip, but in CI they fail: .ci/run installs them.
"""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scancel", "scontrol", "squeue")
PACKAGES = "slurmctld slurmd slurm-client munge"
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

NUM_NODES = 3
CPUS_PER_NODE = 64
GPUS_PER_NODE = 4
START_S = 20.0
STOP_S = 10.0
JOB_S = 60.0

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# A job that queues itself again starts once its old credential has expired.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
# The nodes share this machine: believe what is said of them.
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
KillWait=5
MinJobAge=3600
JobRequeue=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu
NodeName={nodes} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports} CPUs={cpus} RealMemory=16000 Gres=gpu:{gpus}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO PriorityTier=2
PartitionName=cheap Nodes=ALL MaxTime=INFINITE State=UP OverSubscribe=NO PriorityTier=1 GraceTime=30
"""


class Cluster:
    """A running SLURM, and what tests ask of it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        places = {"SLURM_CONF": str(folder / "slurm.conf"), "SLURM_TMPDIR": str(folder / "scratch")}
        self.environment = {**os.environ, "PATH": SEARCH_PATH, **places}

    def start(self) -> None:
        """Start all daemons and wait until every node is idle."""
        folder = self._folder
        for name in ("state", *(f"spool-n{number}" for number in range(1, NUM_NODES + 1))):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        port, first = consecutive_ports(NUM_NODES + 1)
        text = CONFIGURATION.format(
            **{"host": socket.gethostname().partition(".")[0], "user": getpass.getuser(), "folder": folder},
            **{"port": port, "node_ports": f"[{first}-{first + NUM_NODES - 1}]", "nodes": f"n[1-{NUM_NODES}]"},
            **{"cpus": CPUS_PER_NODE, "gpus": GPUS_PER_NODE},
        )
        (folder / "slurm.conf").write_text(text)
        for number in range(GPUS_PER_NODE):
            (folder / f"gpu{number}").touch()
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-{GPUS_PER_NODE - 1}]\n")

        # All run in the foreground, as children that can be waited for; the last to start is the first to go.
        places = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "seed-file": "munge.seed"}
        munge = [f"--{option}={folder / place}" for option, place in places.items()]
        self._daemon("munged", "--foreground", "--force", *munge)
        self.wait_until((folder / "munge.socket").exists, "munged", START_S)
        self._daemon("slurmctld", "-D", "-c")
        for number in range(1, NUM_NODES + 1):
            self._daemon("slurmd", "-D", "-N", f"n{number}")
        self.wait_until(lambda: self.node_states() == ["idle"] * NUM_NODES, "idle nodes", START_S)
        self._stack.callback(self._cancel_all)

    def _daemon(self, name: str, *arguments: str) -> None:
        program = shutil.which(name, path=SEARCH_PATH)
        assert program is not None
        with (self._folder / f"{name}-{len(list(self._folder.glob('*.out')))}.out").open("w") as log:
            process = subprocess.Popen(
                [program, *arguments], env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._stack.callback(stop, process)

    def _cancel_all(self) -> None:
        """Let jobs go first: their steps outlive the daemons."""
        self.call("scancel", "--user", getpass.getuser())
        end_s = time.monotonic() + STOP_S
        while self.call("squeue", "--noheader") and time.monotonic() < end_s:
            time.sleep(0.1)

    def call(self, *command: object, check: bool = True, **options: Any) -> str:
        """Output of one of SLURM's programs."""
        done = subprocess.run(
            [str(word) for word in command],
            **{"env": self.environment, "capture_output": True, "text": True, "timeout": JOB_S, **options},
            check=False,
        )
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return str(done.stdout).strip()

    def node_states(self) -> list[str]:
        return self.call("sinfo", "--noheader", "--Node", "--partition=main", "--format=%T", check=False).split()

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float = JOB_S) -> None:
        """Until a condition holds; the daemons' last words where it never does."""
        end_s = time.monotonic() + seconds
        while not condition():
            logs = (*self._folder.glob("*.log"), *self._folder.glob("*.out"))
            tails = "\n".join(f"{log.name}: {log.read_text(errors='replace')[-600:]}" for log in logs)
            assert time.monotonic() < end_s, f"no {what} in {seconds} s\n{tails}"
            time.sleep(0.1)

    def submit(self, script: str, folder: Path, *options: str) -> str:
        """Send a script from a folder; the job's number."""
        command = ["sbatch", "--parsable", *options]
        return self.call(*command, input=script, cwd=folder)

    def job(self, number: str) -> Mapping[str, str]:
        """What SLURM knows of a job."""
        words = self.call("scontrol", "--oneliner", "show", "job", number).split()
        return dict(word.partition("=")[::2] for word in words)

    def wait_for(self, number: str, *states: str, seconds: float = JOB_S) -> Mapping[str, str]:
        """Wait until a job is in one of some states; what SLURM then knows of it."""
        self.wait_until(lambda: self.job(number)["JobState"] in states, f"{states} of job {number}", seconds)
        return self.job(number)


def consecutive_ports(count: int) -> tuple[int, int]:
    """A free port, and the first of so many free ones after it."""
    for first in range(20000 + secrets.randbelow(8000), 32000, count):
        with ExitStack() as sockets:
            try:
                for port in range(first, first + count):
                    sockets.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
        return first, first + 1
    raise AssertionError("no free ports")


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    missing = [name for name in PROGRAMS if shutil.which(name, path=SEARCH_PATH) is None]
    if missing:
        reason = f"no {', '.join(missing)}: apt-get install {PACKAGES}"
        if os.environ.get("CI", "").lower() not in ("", "0", "false"):
            pytest.fail(reason)
        pytest.skip(reason)
    with ExitStack() as stack:
        running = Cluster(tmp_path_factory.mktemp("cluster"), stack)
        running.start()
        yield running
