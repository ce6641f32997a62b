"""What can go wrong. Every message says what happened, why, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional

if TYPE_CHECKING:
    from ._pose import Pose


class Error(Exception):
    """The base of all exceptions of this package."""


class OptionsError(Error, ValueError):
    """An option does not exist, or has no such value."""


class PoseError(Error):
    """A ``.pose`` file cannot be read or written."""


class VideoError(Error):
    """A video cannot be read, or breaks off before its end."""

    partial: Optional[Pose] = None
    """The frames before the video broke off, if there are any."""


class EngineError(Error):
    """An engine cannot be opened, or failed."""

    partial: Optional[Pose] = None
    """The frames before the engine failed, if there are any."""


class ModelsNotFoundError(EngineError):
    """An engine's models are nowhere; the message lists the folders that were searched."""


class RunError(Error):
    """A run over several videos could not begin."""
