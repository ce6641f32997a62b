"""Estimation in this process: a video or frames in, arrays out."""

from __future__ import annotations

import json
import logging
import os
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, NamedTuple, Optional, Sized, Union

import numpy as np

from . import _native
from ._errors import EngineError, VideoError
from ._options import to_arguments
from ._pose import Path, Pose

if TYPE_CHECKING:
    import numpy.typing as npt

_log = logging.getLogger("oppose")


class Progress(NamedTuple):
    """How far a video is."""

    frames: int
    """Frames that are done."""
    announced_frames: Optional[int]
    """Frames that the video announces; often an estimate, sometimes absent."""
    frames_per_second: float
    """Frames that were done per second so far."""


OnProgress = Callable[[Progress], object]


class Estimator:
    """An engine that stays open for one video after another: its nets are loaded once.

    ``engine`` is ``"auto"``, ``"holistic"`` or ``"native"``; the other options are those of ``oppose-native``, with
    underscores: ``Estimator(engine="native", net_resolution="-1x256", track=True)``. An estimator works on one video at
    a time; other threads wait.

    Raises :class:`OptionsError` if an option does not exist or has no such value.
    """

    def __init__(self, engine: Optional[str] = None, **options: Any) -> None:
        self._native = _native.Estimator(to_arguments({"engine": engine, **options}))

    def open(self) -> dict[str, Any]:
        """Opens the engine now rather than with the first video. Returns its name, device, precision, models and settings.

        Raises :class:`ModelsNotFoundError` or another :class:`EngineError`.
        """
        info, remarks = self._native.open()
        for remark in remarks:
            _log.info("%s", remark)
        return json.loads(info)

    def estimate(self, video: Path, *, on_progress: Optional[OnProgress] = None) -> Pose:
        """Estimates a video file, a picture or a folder of pictures: see :func:`estimate`."""
        self.open()
        return _finish(
            lambda: self._native.estimate(os.fspath(video), _progress(on_progress)), os.fspath(video)
        )

    def estimate_frames(
        self,
        frames: Iterable[npt.NDArray[np.uint8]],
        *,
        fps: Union[str, float, Fraction],
        channels: str = "rgb",
        on_progress: Optional[OnProgress] = None,
    ) -> Pose:
        """Estimates frames: see :func:`estimate_frames`."""
        if channels not in ("rgb", "bgr"):
            raise VideoError(f'channels are "rgb" or "bgr", not {channels!r}')
        self.open()
        announced = len(frames) if isinstance(frames, Sized) else None
        packed = _packed(frames, channels)
        return _finish(
            lambda: self._native.estimate_frames(packed, str(fps), announced, _progress(on_progress)), "frames"
        )


def estimate(
    video: Path, *, engine: Optional[str] = None, on_progress: Optional[OnProgress] = None, **options: Any
) -> Pose:
    """Estimates the keypoints of the people in every frame of a video: the numbers that ``oppose-native`` writes.

    ``video`` is a video file, a picture or a folder of pictures. ``engine`` and ``options`` are those of
    :class:`Estimator`, which you should use for several videos. ``on_progress`` is called about twenty times per second.
    Other threads run meanwhile, and Ctrl-C ends the estimation. Remarks on the video, such as a variable frame rate,
    are logged as warnings by the logger ``oppose``.

    Raises :class:`OptionsError`, :class:`EngineError`, or :class:`VideoError`, which has the frames before the point at
    which a video broke off in its attribute ``partial``.
    """
    return Estimator(engine, **options).estimate(video, on_progress=on_progress)


def estimate_frames(
    frames: Iterable[npt.NDArray[np.uint8]],
    *,
    fps: Union[str, float, Fraction],
    channels: str = "rgb",
    engine: Optional[str] = None,
    on_progress: Optional[OnProgress] = None,
    **options: Any,
) -> Pose:
    """Estimates frames that you decoded or made yourself.

    ``frames`` yields arrays of the shape height × width × 3, all of one size, with the dtype ``uint8``; they are taken
    one by one, so that a generator needs memory for a few only. ``channels`` is ``"rgb"``, or ``"bgr"`` for OpenCV's.
    ``fps`` is a number, a ``Fraction``, or a text such as ``"30000/1001"``. The rest is as in :func:`estimate`. An
    exception of the iterator ends the estimation and reaches you.
    """
    estimator = Estimator(engine, **options)
    return estimator.estimate_frames(frames, fps=fps, channels=channels, on_progress=on_progress)


def _progress(on_progress: Optional[OnProgress]) -> Optional[Callable[..., object]]:
    return None if on_progress is None else lambda *progress: on_progress(Progress(*progress))


def _finish(work: Callable[[], Any], name: str) -> Pose:
    """Logs remarks, and makes arrays of numbers, those of an exception too."""
    try:
        estimated = work()
    except (VideoError, EngineError) as error:
        if error.partial is not None:
            error.partial = Pose._from_numbers(error.partial)  # type: ignore[arg-type]
        raise
    for remark in estimated["remarks"]:
        _log.warning("%s: %s", name, remark)
    return Pose._from_numbers(estimated["pose"])


def _packed(frames: Iterable[npt.NDArray[np.uint8]], channels: str) -> Iterator[tuple[int, int, bytes]]:
    """Height, width, and blue, green and red of each pixel."""
    size = None
    for index, frame in enumerate(frames):
        frame = np.asarray(frame)
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise VideoError(
                f"frame {index} has the dtype {frame.dtype} and the shape {frame.shape}; expected uint8 and height x "
                "width x 3"
            )
        size = size or frame.shape
        if frame.shape != size:
            raise VideoError(f"frame {index} has the shape {frame.shape}, the frames before it {size}")
        yield frame.shape[0], frame.shape[1], (frame if channels == "bgr" else frame[:, :, ::-1]).tobytes()
