"""The mistakes that detkit reports to its caller."""


class DetkitError(Exception):
    """A mistake of the caller: one line that says what is wrong, what is allowed and where it came from.

    The command line prints it without a traceback and exits with 2.
    """


class ConfigError(DetkitError):
    """A config file or command-line override that cannot be used."""


class DataError(DetkitError):
    """An image, annotation, split or data-set folder that cannot be used."""


class WeightsError(DetkitError):
    """A weights file that is missing, of another network or unreadable."""


class ModelError(DetkitError):
    """A model folder or artefact that cannot be loaded."""
