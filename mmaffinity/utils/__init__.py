"""Helpers for configs, files, images and the command line."""
