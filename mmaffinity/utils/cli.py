"""Shared parts of the command-line tools."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import Any

from .option_values import parse_value
from .parent_watch import end_with_parent

# Environment variable with the ID of the process whose end also ends the command.
PARENT = 'MMAFFINITY_PARENT'
# Errors that this package raises on incorrect use, with messages for the user.
USER_ERRORS = (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)


class ConfigOptions(argparse.Action):
    """Parse ``KEY=VALUE`` options (see :func:`~.option_values.parse_value`); malformed ones are usage errors."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        options = dict(getattr(namespace, self.dest, None) or {})
        try:
            for word in values:
                key, text = word.split('=', 1)
                options[key] = parse_value(text)
        except (ValueError, RecursionError) as error:
            parser.error(
                f'argument {option_string}: {" ".join(map(str, values))} is not KEY=VALUE with a number, '
                f'text, [list] or (tuple) as value ({type(error).__name__}: {error})'
            )
        setattr(namespace, self.dest, options)


def run_tool(main: Callable[[], int | None]) -> int:
    """Run a command; on incorrect use, print a message instead of a traceback and exit with code 2.

    ``MMAFFINITY_TRACEBACK=1`` shows the traceback.

    Returns:
        The exit code of the command; 0 if it returns None.
    """
    parent = os.environ.pop(PARENT, None)
    if parent is not None:
        end_with_parent(int(parent))
    try:
        return main() or 0
    except USER_ERRORS as error:
        if os.environ.get('MMAFFINITY_TRACEBACK') == '1':
            raise
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    except TypeError as error:
        # A registry's error for a config field that a class does not accept: usually a typo in --cfg-options.
        if 'got an unexpected keyword argument' not in str(error) or os.environ.get('MMAFFINITY_TRACEBACK') == '1':
            raise
        print(f'error: {error}: check --cfg-options and the config for a typo', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
