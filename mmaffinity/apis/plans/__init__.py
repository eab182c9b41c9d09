"""Plans: studies of several, possibly dependent runs, from training to tables and figures."""

from .local import run_locally
from .plan import Plan, Run, read_plan
from .results import collect
from .slurm import submit

__all__ = ['Plan', 'Run', 'collect', 'read_plan', 'run_locally', 'submit']
