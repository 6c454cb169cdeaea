"""The errors that a user can mend: every message says what was expected and what came."""


class TaskSRError(Exception):
    """Base of the errors a command prints as one line and the node logs as one line."""


class ConfigError(TaskSRError):
    """A parameter, option or configuration file is wrong."""


class BundleError(TaskSRError):
    """A model bundle is missing, incomplete or does not match its hash."""


class EngineError(TaskSRError):
    """An engine cannot be built or run here."""


class ImageError(TaskSRError):
    """An image or image message is unreadable or contradicts its own header."""


class RecordingError(TaskSRError):
    """A bag, video or folder cannot be read or holds no images."""


class EvaluationError(TaskSRError):
    """A ground truth or predictions file cannot be evaluated."""
