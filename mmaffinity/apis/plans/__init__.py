"""Plans: studies of several runs with dependencies, from training to the tables and figures."""

from .local import run_locally
from .plan import Plan, Run, read_plan
from .results import collect
from .slurm import submit

__all__ = ['Plan', 'Run', 'collect', 'read_plan', 'run_locally', 'submit']
