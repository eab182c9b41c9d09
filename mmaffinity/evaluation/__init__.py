"""Evaluation: ``functional`` is plain NumPy, ``metrics`` registers it for MMEngine's evaluator, ``report`` compares runs."""
