"""The family of errors a user can cause: one sentence of fact, one sentence of what to do.

The command line prints the message alone and leaves with `exit_code`; a traceback is kept for our own defects.
"""


class SpeechadaptError(Exception):
    """Anything a user can put right: the message says what was found, what is allowed, where, and what to do."""

    exit_code = 1


class MisuseError(SpeechadaptError):
    """A command, setting or argument that cannot mean anything (exit code 2)."""

    exit_code = 2


class ManifestError(SpeechadaptError):
    """A manifest line or file that breaks the rules of `Utterance` or `Manifest`."""


class AudioError(SpeechadaptError):
    """A recording that cannot be used; `reason` is a short fixed word that reports count by.

    Reasons: missing, empty, not-audio, truncated, not-finite, silent, too-long, too-short, out-of-range, outside-corpus.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type["AudioError"], tuple[str, str]]:
        return (AudioError, (self.reason, str(self)))  # crosses process boundaries in `prepare --jobs`


class CorpusError(SpeechadaptError):
    """A corpus folder that does not look as its specification says."""


class ModelError(SpeechadaptError):
    """A base model that cannot be found, read or trusted."""


class AdapterError(SpeechadaptError):
    """An adapter that is broken or belongs to another base."""


class TrainingError(SpeechadaptError):
    """Training that cannot start or go on (no usable rows, a loss that is not finite, a checkpoint of another run)."""


class LabelError(TrainingError):
    """A transcript a model cannot learn to write; `reason` is a short fixed phrase that drops are counted by, such as `empty text`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ScoreError(SpeechadaptError):
    """References and hypotheses, or two reports, that must not be put side by side."""


class ExportError(SpeechadaptError):
    """An export that cannot be made, or that does not say what its source says."""


class MissingExtraError(SpeechadaptError):
    """An optional part is not installed; the message names the extra."""

    exit_code = 2

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed. Install it with: pip install 'speechadapt[{extra}]'")
