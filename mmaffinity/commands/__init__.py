"""The commands. Each module parses its arguments and calls the package.

``mmaffinity COMMAND`` and the scripts in ``tools/`` run them through :mod:`mmaffinity_cli`. Everything that needs torch is
imported in ``run``, so that help and usage errors do not wait for it.
"""
