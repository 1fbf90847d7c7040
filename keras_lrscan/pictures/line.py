"""Follows the line of a plot through its frame."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from keras_lrscan._typing import Array
from keras_lrscan.pictures.image import highest, lowest, squared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from keras_lrscan.pictures.frame import Frame
    from keras_lrscan.pictures.image import Pixels

__all__ = ["Line", "find_lines"]

CONTRAST = 45.0
"""Distance of a color from that of the ground that counts as drawn, in units of 1/255; JPEG blurs by up to 30."""

MAX_DRAWN = 0.5
"""Largest share of drawn pixels within a frame: at most 0.26 in 288 plots of 24 looks, more in other pictures."""

SAME_COLOR = 0.5
"""Smallest share of a color that a pixel must have to belong to a line: half covered by it."""

GRID_SHARE = 0.85
"""A row or column of one color over this share of the frame is a gridline, a spine or a line across."""

DASHED_SHARE, BLOCKS = 0.2, 12
"""Share of the frame that a line of dashes or dots covers, and the parts of it in which it covers about as much."""

THIN = 4
"""Rows on each side of such a line, in one of which there is less ink."""

EDGE, SHADE = 2.0, 140.0
"""Pixels beside the ink of a line that belong to its edge, and the largest difference of the color of a likely edge."""

LEVEL = 6.0
"""Rows within which a line is horizontal; dots and what crosses it move its middle by some."""

EDGE_SHARE = 0.02
"""Share of the frame at both ends in which such a line is seen too."""

MIN_COVERAGE = 0.12
"""Smallest share of the frame's width that a curve extends over."""

GAP = 12
"""Columns that a line may be hidden in: below a marker, or between dashes."""

SLACK, SLACK_SHARE = 3, 0.007
"""Pixels at the edges of the frame that are left out, and as a share of its width: half a spine, and its blur."""

MIN_FILL = 0.6
"""Smallest share of ink between the upper and the lower end of a line in a column; several lines leave more paper."""

MAX_PIECES = 2000
"""Most pieces of ink of one color; more are a texture."""

MIN_CONTINUITY = 0.9
"""Smallest share of neighboring columns whose ink touches; letters and dashes of other lines leave jumps."""

MAX_JUMP, MAX_HOLE = 0.2, 0.1
"""Largest distance of two pieces of a line, as shares of the height and of the width of the frame."""

HUE_BINS, HUE_REACH = 24, 1.6
"""Bins of the circle of hues, and those on each side of a peak that are one color."""

MIN_CHROMA = 0.3
"""Smallest chroma of a pixel of a line, as a share of what its color has there; JPEG blurs colors more than light."""

GRAY_CHROMA = 28.0
"""Difference of the largest and the smallest of red, green and blue below which a color is gray."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """Holds a line that was followed through a plot, in pixels.

    Attributes:
        columns: Columns in which the line was seen, from left to right. Array of shape `(n,)`.
        rows: Row of the line in each column. Array of shape `(n,)`.
        tops: First row of its ink in each column. Array of shape `(n,)`.
        bottoms: Last row of its ink in each column. Array of shape `(n,)`.
        color: Red, green and blue from 0 to 255.
        width: Thickness in rows where the line is flat.
        roughness: Mean change of direction from column to column, in rows: large for the losses of single batches.
        coverage: Share of the frame's width that the line extends over.
        is_across: Whether the line runs from edge to edge, as a level does and a curve with its margins does not.
    """

    columns: Array
    rows: Array
    tops: Array
    bottoms: Array
    color: tuple[int, int, int]
    width: float
    roughness: float
    coverage: float
    is_across: bool

    @property
    def is_level(self) -> bool:
        """Whether the line is horizontal, as a mark at a loss is."""
        return bool(np.ptp(self.rows) < LEVEL)

    def moved(self, right: int, down: int) -> Line:
        """Returns the line in pixels of a picture in which its own picture starts at the given column and row."""
        return dataclasses.replace(
            self,
            columns=self.columns + right,
            rows=self.rows + down,
            tops=self.tops + down,
            bottoms=self.bottoms + down,
        )

    def extended(self, other: Line) -> Line:
        """Returns the line with those columns of another one that lie before its first and after its last."""
        beyond = (other.columns < self.columns[0]) | (other.columns > self.columns[-1])
        if not beyond.any():
            return self
        order = np.argsort(np.concatenate([self.columns, other.columns[beyond]]))

        def both(mine: Array, its: Array) -> Array:
            return np.concatenate([mine, its[beyond]])[order]

        return dataclasses.replace(
            self,
            columns=both(self.columns, other.columns),
            rows=both(self.rows, other.rows),
            tops=both(self.tops, other.tops),
            bottoms=both(self.bottoms, other.bottoms),
            coverage=max(self.coverage, other.coverage),
        )


def find_lines(pixels: Pixels, frame: Frame) -> list[Line]:
    """Returns the curves within the frame, the longest first.

    Colors other than that of the ground form groups by hue, and grays form one. A curve is a group with ink in many
    columns. Gridlines, straight lines across, markers, legends and texts are left out.
    """
    slack = max(SLACK, round(SLACK_SHARE * frame.width))
    top, bottom = round(frame.top) + slack, round(frame.bottom) - slack + 1
    left, right = round(frame.left) + slack, round(frame.right) - slack + 1
    part = pixels[top:bottom, left:right]
    if min(part.shape[:2], default=0) < 20:
        return []
    ground = _ground(part)
    away = part - ground
    drawn = squared(away) > CONTRAST**2
    drawn &= ~_across(drawn, away)
    if drawn.mean() > MAX_DRAWN:
        return []
    found = []
    # the edges of a colored line are gray
    beside_color = ndimage.binary_dilation(drawn & (highest(part) - lowest(part) >= 2 * GRAY_CHROMA), iterations=2)
    for color in _colors(part, drawn, ground):
        cover = _share_of(away, color - ground)
        mask = drawn & (cover > SAME_COLOR)
        line = _follow(cover, mask & ~beside_color if np.ptp(color) < GRAY_CHROMA else mask, color)
        if line is not None:
            found.append(line.moved(left, top))
    distinct: list[Line] = []
    for line in sorted(found, key=lambda one: -one.coverage):
        if not any(_is_edge(line, other) for other in distinct):
            distinct.append(line)
    return distinct


def _ground(part: Pixels) -> NDArray[np.float32]:
    """Returns the most frequent color."""
    coarse = part.astype(np.uint8) // 8
    keys = (coarse[..., 0].astype(np.int32) * 32 + coarse[..., 1]) * 32 + coarse[..., 2]
    most = keys == np.bincount(keys.ravel()).argmax()
    return np.asarray(np.median(part[most], axis=0), dtype=np.float32)


def _across(drawn: NDArray[np.bool_], away: Pixels) -> NDArray[np.bool_]:
    """Returns the pixels of gridlines and of other straight lines over the whole width or height."""
    mask = np.zeros_like(drawn)
    for axis in (0, 1):
        along = drawn if axis == 0 else drawn.T
        end = max(2, round(EDGE_SHARE * along.shape[1]))
        reaches = along[:, :end].any(axis=1) & along[:, -end:].any(axis=1)  # a flat curve ends before the edges
        dashed = _is_dashed(along)
        for place in np.flatnonzero(((along.mean(axis=1) > GRID_SHARE) | dashed) & reaches):
            index = (place, slice(None)) if axis == 0 else (slice(None), place)
            ink = away[index][drawn[index]]
            darker = 0.7 if dashed[place] else 0.5  # the edges of dashes are paler, and what lies over a line is darker
            color = ink[np.argsort(squared(ink))[int(darker * len(ink))]]
            mask[index] |= _is_like(away[index], color)
    return mask & drawn


def _is_dashed(along: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns which rows hold a line of dashes or dots: ink with the same gaps everywhere, and little on both sides."""
    share = along.mean(axis=1)
    blocks = np.stack([block.mean(axis=1) for block in np.array_split(along, BLOCKS, axis=1)])
    least = sliding_window_view(np.pad(share, THIN), THIN).min(axis=1)  # of the rows before and after each row
    is_thin = np.maximum(least[: share.size], least[-share.size :]) < 0.6 * share
    found = (share > DASHED_SHARE) & is_thin & (blocks.min(axis=0) > 0.5 * share)
    return np.asarray(ndimage.binary_dilation(found))  # the edges of dots have gaps of other widths


def _is_like(away: Pixels, color: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Returns which pixels lie between the ground and a color, or near the color, all as distances from the ground."""
    share = np.clip(away @ color / float((color**2).sum()), 0, 1)[..., None]
    return np.asarray(highest(np.abs(away - share * color)) < CONTRAST)


def _colors(part: Pixels, drawn: NDArray[np.bool_], ground: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Returns the colors of what may be lines: of each hue and of gray the pixels that differ most from the ground."""
    inked = part[drawn]
    if inked.shape[0] < 30:
        return []
    chroma = highest(inked) - lowest(inked)
    hue = _hue(inked)
    found = []
    counts = np.bincount((hue[chroma >= GRAY_CHROMA] * HUE_BINS).astype(int) % HUE_BINS, minlength=HUE_BINS)
    smooth = counts + np.roll(counts, 1) + np.roll(counts, -1)
    for peak in np.flatnonzero(
        (smooth > 0.02 * inked.shape[0]) & (smooth >= np.roll(smooth, 1)) & (smooth > np.roll(smooth, -1))
    ):
        off = np.abs((hue * HUE_BINS - peak - 0.5 + HUE_BINS / 2) % HUE_BINS - HUE_BINS / 2)
        found.append(_strongest(inked[(chroma >= GRAY_CHROMA) & (off < HUE_REACH)], ground))
    grays = inked[chroma < GRAY_CHROMA]
    if grays.shape[0] > 0.05 * inked.shape[0]:
        found.append(_strongest(grays, ground))
        # a pale line beside dark text
        pale = grays[highest(np.abs(grays - ground)) < 0.6 * float(np.abs(found[-1] - ground).max())]
        if pale.shape[0] > 0.3 * grays.shape[0]:
            found.append(_strongest(pale, ground))
    return found


def _hue(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    high, low = highest(colors), lowest(colors)
    span = np.maximum(high - low, 1e-3)
    red, green, blue = colors[:, 0], colors[:, 1], colors[:, 2]
    sector = np.where(
        high == red,
        (green - blue) / span % 6,
        np.where(high == green, (blue - red) / span + 2, (red - green) / span + 4),
    )
    return np.asarray(sector / 6 % 1.0, dtype=np.float32)


def _strongest(colors: NDArray[np.float32], ground: NDArray[np.float32]) -> NDArray[np.float32]:
    away = np.abs(colors - ground).sum(axis=-1)
    return np.asarray(np.median(colors[away >= np.percentile(away, 70)], axis=0), dtype=np.float32)


def _share_of(away: Pixels, color: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns how far each pixel lies on the way from the ground to the color: 0 to 1; 0 for other hues."""
    size = float((color**2).sum())
    share = away @ color / size
    rest = squared(away) - share**2 * size  # the square of the distance from the line between the two colors
    limit = 0.35 * np.sqrt(size) + 12
    # gray lines across a colored one
    colored = highest(away) - lowest(away) >= MIN_CHROMA * share * np.ptp(color)
    return np.asarray(np.where((rest < limit**2) & colored, np.clip(share, 0, 1), 0.0), dtype=np.float32)


def _follow(cover: NDArray[np.float32], mask: NDArray[np.bool_], color: NDArray[np.float32]) -> Line | None:
    """Returns the curve among the pixels of one color, or `None`."""
    width = mask.shape[1]
    if mask.any(axis=0).mean() < MIN_COVERAGE:
        return None
    kept = _curve_pieces(mask)
    columns = np.flatnonzero(kept.any(axis=0))
    if columns.size < MIN_COVERAGE * width:
        return None
    first = kept[:, columns].argmax(axis=0)
    last = kept.shape[0] - 1 - kept[::-1, columns].argmax(axis=0)
    thickness = last - first + 1
    if float((kept[:, columns].sum(axis=0) / thickness).mean()) < MIN_FILL:
        return None
    touching = (first[1:] <= last[:-1] + SLACK) & (last[1:] >= first[:-1] - SLACK)
    neighbors = np.diff(columns) == 1
    if not neighbors.any() or float(touching[neighbors].mean()) < MIN_CONTINUITY:
        return None
    usual = float(np.percentile(thickness, 10))
    rows = _rows(cover, kept, columns, (first, last), usual=usual)
    if _is_straight_across(columns, rows, width):
        return None
    bends = np.abs(np.diff(rows, 2))
    return Line(
        columns=columns.astype(np.float64),
        rows=rows,
        tops=first.astype(np.float64),
        bottoms=last.astype(np.float64),
        color=(int(color[0]), int(color[1]), int(color[2])),
        width=usual,
        roughness=float(bends.mean()) if bends.size else 0.0,
        coverage=float(columns[-1] - columns[0] + 1) / width,
        is_across=bool(columns[0] <= 2 and columns[-1] >= width - 3),
    )


def _curve_pieces(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns the connected pieces that follow each other along the columns; those of a legend lie above or below."""
    near = ndimage.binary_dilation(mask, structure=np.ones((3, GAP // 2 * 2 + 1)))
    names, count = ndimage.label(near)
    if not 0 < count <= MAX_PIECES:
        return np.zeros_like(mask)
    names = np.where(mask, names, 0)
    pieces = [
        _Piece.of(names[place] == number, place, number)
        for number, place in enumerate(ndimage.find_objects(names, max_label=count), start=1)
        if place is not None
    ]
    pieces.sort(key=lambda piece: piece.start - piece.stop)
    kept = pieces[:1]
    height, width = mask.shape
    for _ in range(2):  # a piece may be next to one that is added later
        for piece in pieces:
            if piece not in kept and piece.stop - piece.start >= 2 and piece.follows(kept, width=width, height=height):
                kept.append(piece)
    return np.isin(names, [piece.number for piece in kept])


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """A connected piece of ink: its columns, and the rows at both ends."""

    number: int
    start: int
    stop: int
    first_row: float
    last_row: float

    @classmethod
    def of(cls, ink: NDArray[np.bool_], place: tuple[slice, ...], number: int) -> _Piece:
        rows = np.arange(ink.shape[0])[:, None]
        return cls(
            number=number,
            start=place[1].start,
            stop=place[1].stop,
            first_row=place[0].start + float((ink * rows)[:, :3].sum() / max(1, ink[:, :3].sum())),
            last_row=place[0].start + float((ink * rows)[:, -3:].sum() / max(1, ink[:, -3:].sum())),
        )

    def follows(self, kept: list[_Piece], *, width: int, height: int) -> bool:
        """Returns whether this piece continues the kept ones, in columns that none of them has."""
        size = self.stop - self.start
        shared = sum(max(0, min(self.stop, one.stop) - max(self.start, one.start)) for one in kept)
        if shared > 0.2 * size:
            return False
        left = max((one for one in kept if one.stop <= self.start + 0.2 * size), key=lambda one: one.stop, default=None)
        right = min(
            (one for one in kept if one.start >= self.stop - 0.2 * size), key=lambda one: one.start, default=None
        )
        gaps = [] if left is None else [(self.start - left.stop, self.first_row - left.last_row)]
        gaps += [] if right is None else [(right.start - self.stop, right.first_row - self.last_row)]
        # a steep stretch may be blurred away, but only within a few columns
        return any(
            hole <= SLACK or (hole <= MAX_HOLE * width and abs(jump) <= MAX_JUMP * height) for hole, jump in gaps
        )


def _rows(
    cover: NDArray[np.float32],
    kept: NDArray[np.bool_],
    columns: NDArray[np.intp],
    ends: tuple[NDArray[np.intp], NDArray[np.intp]],
    *,
    usual: float,
) -> Array:
    """Returns the row of the line in each column.

    A thin piece has its center of mass. Where the line is steep, a column holds a stretch of it: a peak has its top, a
    dip its bottom, and a slope its middle.
    """
    first, last = ends
    weight = np.where(ndimage.binary_dilation(kept, structure=np.ones((3, 1))), cover, 0.0)[:, columns]
    index = np.arange(kept.shape[0])[:, None]
    center = (weight * index).sum(axis=0) / np.maximum(weight.sum(axis=0), 1e-6)
    middle = (first + last) / 2
    tall = last - first + 1 > 2 * usual + 2
    rows = np.where(tall, middle, center)
    before, after = np.concatenate([middle[:1], middle[:-1]]), np.concatenate([middle[1:], middle[-1:]])
    half = usual / 2
    third = (last - first) / 3
    is_peak = tall & (before > middle + third / 2) & (after > middle + third / 2)
    is_dip = tall & (before < middle - third / 2) & (after < middle - third / 2)
    rows = np.where(is_peak, first + half - 0.5, np.where(is_dip, last - half + 0.5, rows))
    if rows.size > 1 and tall[-1]:  # a line that ends on its way up or down ends at the far end of its last column
        rows[-1] = first[-1] + half if before[-1] > middle[-1] else last[-1] - half
    return np.asarray(rows, dtype=np.float64)


def _is_straight_across(columns: NDArray[np.intp], rows: Array, width: int) -> bool:
    return bool(columns[0] <= 2 and columns[-1] >= width - 3 and np.ptp(rows) < SLACK - 1)


def _is_edge(line: Line, other: Line) -> bool:
    """Returns whether a line is the edge of another one in another shade: in most columns it runs along its ink."""
    shared, mine, its = np.intersect1d(line.columns, other.columns, return_indices=True)
    if shared.size < 0.5 * min(line.columns.size, other.columns.size):
        return False
    rows = line.rows[mine]
    within = float(np.mean((rows >= other.tops[its] - EDGE) & (rows <= other.bottoms[its] + EDGE)))
    return within > (0.5 if np.abs(np.subtract(line.color, other.color)).max() < SHADE else 0.8)
