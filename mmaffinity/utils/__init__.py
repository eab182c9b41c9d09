"""Configs, checkpoints, files."""
