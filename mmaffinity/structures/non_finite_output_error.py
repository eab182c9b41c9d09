"""The error for network output that contains NaN or infinity."""


class NonFiniteOutputError(ValueError):
    """The network's output for a slice is not finite.

    A separate type lets training distinguish it from other errors and report the step and the batch.
    """
