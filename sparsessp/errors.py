"""The one exception that users are meant to read."""


class SparseSSPError(Exception):
    """Something in the user's hands is wrong: a setting, a file, a volume.

    The message names the file or key, the value found and what is allowed. Programs print it
    without a traceback.
    """
