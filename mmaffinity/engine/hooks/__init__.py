"""Hooks for training and testing; :mod:`mmaffinity.engine` exports them."""
