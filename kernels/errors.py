"""The one exception that stands for a user's mistake, on the lowest floor so that every floor can raise it."""


class RequestError(ValueError):
    """A request that cannot be served as written.

    The message is one line that names the key or file and the fix. The command line prints it without a
    traceback and exits with code 2; nothing has been written.
    """
