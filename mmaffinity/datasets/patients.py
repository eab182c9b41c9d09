"""The patient in a file name."""

import re


def check_patient_pattern(pattern: str | None) -> None:
    """Check that a pattern can name a patient.

    Raises:
        ValueError: if it is not a regular expression, or has no group.
    """
    if pattern is None:
        return
    try:
        groups = re.compile(pattern).groups
    except re.error as error:
        raise ValueError(f'patient_pattern={pattern!r} is no regular expression: {error}') from error
    if groups < 1:
        raise ValueError(f'patient_pattern={pattern!r} has no group: enclose the patient in parentheses')


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
        raise ValueError(f'patient_pattern={pattern!r} finds no patient in {name} of {source}')
    return patient
