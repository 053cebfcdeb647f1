"""The exception for errors that a user can fix."""


class SparseSSPError(Exception):
    """A setting, file or volume is wrong, and the user can fix it.

    The message names the file or key, the value found and what is allowed. Commands print it
    without a traceback.
    """
