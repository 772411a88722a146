"""Exceptions for what a user can put right."""


class InputError(ValueError):
    """A model, a file or a setting that cannot be used; the message names it, the limit and the way out."""


class TooLittleText(InputError):
    """A sound text that is too short for what would be trained or scored on it; other measurements may do with it."""


class UnusableModel(InputError):
    """A model without which nothing else can be measured either."""
