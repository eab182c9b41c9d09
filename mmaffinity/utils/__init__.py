"""Configs, checkpoints and files."""
