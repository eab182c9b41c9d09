"""A real SLURM cluster of one node on this machine: slurmctld and slurmd on the loopback interface."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ('munged', 'slurmctld', 'slurmd', 'sbatch', 'squeue', 'scancel', 'srun', 'scontrol')
CONF = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=1,defer_batch=0,sched_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
KillWait=2
MinJobAge=3600
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=low Nodes={host} Default=YES PriorityTier=1 GraceTime=2 MaxTime=INFINITE State=UP
PartitionName=high Nodes={host} PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP
"""


def why_no_slurm() -> str | None:
    """Why a cluster cannot be started here, or None."""
    # Debian installs the daemons where users do not look for programs.
    os.environ['PATH'] += ''.join(
        f'{os.pathsep}{place}' for place in ('/usr/sbin', '/sbin') if place not in os.environ['PATH'].split(os.pathsep)
    )
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f'SLURM is not installed: no {", ".join(missing)} (Debian: apt-get install slurm-wlm)'
    return None if os.geteuid() == 0 else 'slurmd needs to be started by root'


class Cluster:
    """Start and stop the daemons.

    Args:
        folder: new folder, with a short path because of the socket in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        host = socket.gethostname().split('.')[0]
        ports = [_free_port() for _ in range(2)]
        for name in ('state', 'spool'):
            (folder / name).mkdir(parents=True)
        self.conf = folder / 'slurm.conf'
        self.conf.write_text(
            CONF.format(folder=folder, host=host, user=getpass.getuser(), ctld_port=ports[0], slurmd_port=ports[1])
        )
        key = folder / 'munge.key'
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        self.environment = {**os.environ, 'SLURM_CONF': str(self.conf)}

    def __enter__(self) -> 'Cluster':
        try:
            self._start(
                'munged',
                '--foreground',
                '--force',
                f'--key-file={self.folder}/munge.key',
                f'--socket={self.folder}/munge.socket',
                f'--pid-file={self.folder}/munged.pid',
                f'--log-file={self.folder}/munged.log',
                f'--seed-file={self.folder}/munge.seed',
            )
            self._until(lambda: (self.folder / 'munge.socket').exists(), 'munged')
            self._start('slurmctld', '-D', '-f', str(self.conf))
            self._start('slurmd', '-D', '-f', str(self.conf))
            self._until(lambda: 'State=IDLE' in self.call('scontrol', 'show', 'node', check=False), 'the node')
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)

    def _start(self, *command: str) -> None:
        with open(self.folder / f'{command[0]}.out', 'w') as file:
            self.processes.append(
                subprocess.Popen(command, env=self.environment, stdout=file, stderr=file, stdin=subprocess.DEVNULL)
            )

    def _until(self, condition, what: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                logs = ''.join(path.read_text(errors='replace')[-1500:] for path in self.folder.glob('slurm*.log'))
                raise AssertionError(f'{what} does not come up within {seconds:.0f} s: {logs}')
            time.sleep(0.2)

    def call(self, *command: str, check: bool = True) -> str:
        """Run a command of SLURM and return its output."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def wait(self, condition, what: str, seconds: float = 300) -> None:
        """Wait until a condition holds."""
        self._until(condition, what, seconds)

    def queue(self) -> list[str]:
        """Jobs and array tasks that have not ended."""
        return self.call('squeue', '--noheader', '--array', '--format=%i').split()

    def state(self, job: str) -> str:
        """State of a job or task, such as COMPLETED."""
        text = self.call('scontrol', 'show', 'job', job, check=False)
        return text.partition('JobState=')[2].partition(' ')[0]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]
