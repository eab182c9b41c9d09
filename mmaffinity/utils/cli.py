"""What the command-line tools share."""
import os
import sys
from collections.abc import Callable

# The errors that our own code raises on wrong use: their message is meant for the user.
USER_ERRORS = (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError)


def run_tool(main: Callable[[], None]) -> None:
    """Run a tool's main function; wrong use ends in one sentence and exit code 2 instead of a traceback.

    ``MMAFFINITY_TRACEBACK=1`` shows the traceback all the same.
    """
    try:
        main()
    except USER_ERRORS as error:
        if os.environ.get('MMAFFINITY_TRACEBACK') == '1':
            raise
        print(f'error: {error}', file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
