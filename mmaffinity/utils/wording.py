"""Format counts and lists in messages."""

from collections.abc import Sequence


def first_few(names: Sequence[str], number: int = 3) -> str:
    """Return the first examples: 'a, b, c, ...'."""
    return ', '.join(names[:number]) + (', ...' if len(names) > number else '')


def first_and_rest(names: Sequence[str], number: int = 3) -> str:
    """Return the first names and the number of the others: 'a, b, c and 4 more'."""
    return ', '.join(names[:number]) + (f' and {len(names) - number} more' if len(names) > number else '')


def plural(count: int, noun: str, verb: str = '') -> str:
    """Format a count with its noun and, if given, its verb: '1 slice is', '2 slices are'.

    Args:
        count: the count.
        noun: the noun in the singular.
        verb: 'is', 'has', 'does' or 'was'.
    """
    verbs = {'is': 'are', 'has': 'have', 'does': 'do', 'was': 'were', '': ''}
    plural_noun = (
        f'{noun[:-1]}ies'
        if noun.endswith('y') and noun[-2] not in 'aeiou'
        else f'{noun}es'
        if noun.endswith(('s', 'x'))
        else f'{noun}s'
    )
    return f'{count} {noun if count == 1 else plural_noun} {verb if count == 1 else verbs[verb]}'.rstrip()
