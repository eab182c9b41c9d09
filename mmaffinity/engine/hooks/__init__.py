"""Hooks of training and testing; :mod:`mmaffinity.engine` exports them."""
