"""The one exception for what a user can put right."""


class InputError(ValueError):
    """A model, a file or a setting that cannot be used; the message names it, the limit and the way out."""
