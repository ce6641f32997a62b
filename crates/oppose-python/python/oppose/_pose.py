"""Poses as NumPy arrays, and as files."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from . import _native
from ._errors import PoseError

if TYPE_CHECKING:
    from typing import Mapping

    import numpy.typing as npt
    import pose_format

Path = Union[str, "os.PathLike[str]"]


@dataclass(frozen=True)
class Component:
    """A part of a skeleton: body, face or hand."""

    name: str
    """As in the file, for example ``POSE_LANDMARKS``."""
    format: str
    """One letter per value of a point, the last one ``C`` for confidence: ``XYC`` or ``XYZC``."""
    points: list[str]
    """Names of the points, in the order of the arrays."""
    limbs: list[tuple[int, int]] = field(default_factory=list)
    """Pairs of points, by index within this component, that are joined by a line."""
    colors: list[tuple[int, int, int]] = field(default_factory=list)
    """Red, green and blue of each point; fewer colours than points repeat."""


@dataclass(frozen=True)
class Header:
    """What a ``.pose`` file says of itself before its numbers."""

    width: int
    """Width of the upright frames in pixels."""
    height: int
    """Height of the upright frames in pixels."""
    components: list[Component]
    """The skeleton; the points of its components follow one another in the arrays."""
    depth: int = 0
    """Depth of the space; 0 in the files that this package makes."""
    version: float = 0.2
    """Version of the format that was read. What is written is always 0.2."""

    @property
    def point_count(self) -> int:
        """Number of points of one person, over all components."""
        return sum(len(component.points) for component in self.components)

    @property
    def dimensions(self) -> int:
        """Number of coordinates of a point: 2 or 3."""
        return max((len(component.format) for component in self.components), default=1) - 1

    def slice(self, component: str) -> slice:
        """Where the points of a component are: ``pose.points[:, :, header.slice("FACE_LANDMARKS")]``.

        Raises ``KeyError`` if the skeleton has no such component.
        """
        start = 0
        for candidate in self.components:
            end = start + len(candidate.points)
            if candidate.name == component:
                return slice(start, end)
            start = end
        raise KeyError(component)


@dataclass(eq=False)
class Pose:
    """The keypoints of all people in all frames of a video: a ``.pose`` file in memory."""

    points: npt.NDArray[np.float32]
    """Coordinates: frames × people × points × 2 or 3, in pixels of the upright frame (x right, y down). 0 where a point
    was not found."""
    confidence: npt.NDArray[np.float32]
    """Confidences: frames × people × points, usually 0 to 1. 0 where a point was not found."""
    fps: float
    """Frames per second."""
    header: Header
    """Size of the frames, and the skeleton."""

    def __repr__(self) -> str:
        frames, people, points, dimensions = self.points.shape
        return f"<oppose.Pose: {frames} frames, {people} people, {points} points in {dimensions}D, {self.fps:g} fps>"

    @classmethod
    def from_bytes(cls, data: bytes) -> Pose:
        """Reads what a ``.pose`` file holds. Raises :class:`PoseError` if it is none."""
        return cls._from_numbers(_native.read_bytes(bytes(data)))

    @classmethod
    def _from_numbers(cls, numbers: Mapping[str, Any]) -> Pose:
        header = dict(numbers["header"])
        header["components"] = [Component(**component) for component in header["components"]]
        header = Header(**header)
        shape = (numbers["frames"], numbers["people"], header.point_count)
        return cls(
            np.frombuffer(numbers["coordinates"], "<f4").reshape(*shape, header.dimensions),
            np.frombuffer(numbers["confidences"], "<f4").reshape(shape),
            numbers["fps"],
            header,
        )

    def to_bytes(self) -> bytes:
        """The ``.pose`` file, always in version 0.2.

        Raises :class:`PoseError` if the arrays do not fit the header, or a number does not fit the format.
        """
        points = np.ascontiguousarray(self.points, "<f4")
        confidence = np.ascontiguousarray(self.confidence, "<f4")
        expected = (*confidence.shape, self.header.dimensions)
        if confidence.ndim != 3 or points.shape != expected or confidence.shape[2] != self.header.point_count:
            raise PoseError(
                f"the arrays do not fit the header: it has {self.header.point_count} points in "
                f"{self.header.dimensions}D, but points have the shape {points.shape} and confidences "
                f"{confidence.shape}; expected frames x people x points (x coordinates)"
            )
        frames, people, _ = confidence.shape
        try:
            head = _native.header_bytes(self.header) + struct.pack("<fIH", self.fps, frames, people)
        except (struct.error, OverflowError) as error:
            raise PoseError(f"a number does not fit the format: {error}") from error
        return b"".join((head, points.tobytes(), confidence.tobytes()))

    def write(self, path: Path, *, overwrite: bool = False) -> None:
        """Writes a ``.pose`` file, which appears complete or not at all.

        Raises :class:`PoseError` if there is a file already and ``overwrite`` is false, or if it cannot be written.
        """
        _native.write_file(os.fspath(path), self.to_bytes(), overwrite)

    def to_pose_format(self) -> pose_format.Pose:
        """The same as a ``Pose`` of the package pose-format, which must be installed.

        Points with confidence 0 are masked, as in everything that pose-format reads.
        """
        from pose_format import Pose as PoseFormatPose

        return PoseFormatPose.read(self.to_bytes())


def read(path: Path) -> Pose:
    """Reads a ``.pose`` file of version 0.0, 0.1 or 0.2. Raises :class:`PoseError` if it is none, or not complete."""
    return Pose._from_numbers(_native.read(os.fspath(path)))


def write(pose: Pose, path: Path, *, overwrite: bool = False) -> None:
    """Writes a ``.pose`` file: :meth:`Pose.write`."""
    pose.write(path, overwrite=overwrite)
