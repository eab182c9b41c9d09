"""What a network raises whose output holds NaN or infinity."""


class NonFiniteOutputError(ValueError):
    """The network's output for a slice is not finite.

    A type of its own, so that training can tell it from other errors and name the step and the batch.
    """
