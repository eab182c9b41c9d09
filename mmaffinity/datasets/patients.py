"""Patients from file names."""

import re


def check_pattern(option: str, pattern: str | None, content: str = 'the patient') -> re.Pattern | None:
    """Compile a pattern that is searched in names.

    Args:
        option: name of the argument, for errors.
        pattern: regular expression, or None.
        content: what its groups match, for errors.

    Returns:
        The compiled pattern; None without one.

    Raises:
        ValueError: if it is not a regular expression, or has no group.
    """
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f'{option}={pattern!r} is not a regular expression: {error}') from error
    if not compiled.groups:
        raise ValueError(f'{option}={pattern!r} has no group: enclose {content} in parentheses')
    return compiled


def patient_in(name: str, pattern: str, source: str) -> str:
    """Return the patient that a pattern finds in a name.

    Args:
        name: name of a file.
        pattern: regular expression whose group named ``patient``, or first group, is the patient.
        source: origin of the name, for the error.

    Raises:
        ValueError: if the pattern does not match.
    """
    match = re.search(pattern, name)
    patient = match and match['patient' if 'patient' in match.re.groupindex else 1]
    if not patient:
        raise ValueError(f'patient_pattern={pattern!r} matches no patient in {name} of {source}: correct the pattern')
    return patient
