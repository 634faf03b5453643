"""The pass over a piece of a tile, compiled: products of a few rows and columns, counted while they are in the cache.

A product of matrices by a library is written to memory whole, and read again to be counted. So the product is made
here, as such libraries make it (Goto and van de Geijn, *Anatomy of high-performance matrix multiplication*, ACM
Transactions on Mathematical Software 34, 2008): columns are packed side by side into panels, and a microkernel keeps
the sums of a few rows and one panel in registers. A panel's products are counted before those of the next one are made.

They stand in one file because a kernel in the cache on disk is renewed with its own file alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen, config
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numpy.typing import NDArray

from evaljobs.pairs.compiled import compiled

Float32 = NDArray[np.float32]
UInt16 = NDArray[np.uint16]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]

FLAG = np.int32(-(2**31))  # a counter's sign is its bin's flag: who adds one to it has read the flag already
_NUMBER = np.int32(2**31 - 1)
_BLOCK = 16  # pairs
_FOLDS = 64  # folds of bins that are looked at together for whether they are all empty: most are
MOST_ROWS = 192  # rows whose products with a panel are counted at once
_ROWS_SIZE = 2**18  # numbers of these rows: a MB, for the second-level cache
_PANEL_SIZE = 2**13  # numbers of a part of a panel, for the first-level cache


class Shape(NamedTuple):
    """How many sums a microkernel holds in registers: `rows`, times `vectors` of `lanes` float32 numbers."""

    rows: int
    lanes: int
    vectors: int

    @property
    def width(self) -> int:
        """Columns of a panel."""
        return self.lanes * self.vectors


def shape_for(features: str) -> Shape:
    """Return the shape that suits the registers of a processor, given what it can do in LLVM's words.

    12 of 16 registers of 256 bits, 24 of 32 of 128, or 16 of 32 of 512: enough sums not to wait for any, and no more
    rows than there are registers for their addresses. An x86 without AVX has too few registers, and is slow.
    """
    return Shape(8, 16, 2) if "+avx512f" in features.split(",") else Shape(6, 8, 2)


def _features() -> str:
    """Return what numba compiles for, which is part of the key of its cache: kernels there were made for this shape."""
    return str(codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES)


def microkernel(shape: Shape) -> Callable[..., None]:
    """Return what adds the products of a few rows and a panel to sums, to be called by compiled code.

    Called with ``rows [n, d]``, the first row and how many there are (where these are fewer than the shape has, the
    last one is taken again), the first and the end of the components to be summed, ``panels`` float32 and where in
    them the panel begins, whose components follow each other, ``[d, width]``; and ``sums`` float32 and where in them
    ``[rows, width]`` begin.
    """

    @intrinsic
    def multiply_add(_, rows, first, available, begin, end, panels, panel, sums, place):  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917
        given = rows, first, available, begin, end, panels, panel, sums, place
        arrays = [kind for kind in given if isinstance(kind, types.Array)]
        if any(array.layout != "C" or array.dtype != types.float32 for array in arrays):
            raise TypingError(f"found {arrays}; expected float32 arrays in C order, whose addresses are computed here")

        def generate(context, builder, _, values):  # type: ignore[no-untyped-def]
            both = zip([kind in arrays and context.make_array(kind) for kind in given], values, strict=True)
            _Emitter(builder, shape).multiply_add(*(a(context, builder, value) if a else value for a, value in both))
            return context.get_dummy_value()

        return types.void(*(kind if isinstance(kind, types.Array) else types.intp for kind in given)), generate

    return cast("Callable[..., None]", multiply_add)


class _Emitter:
    """Writes a microkernel in LLVM's language, which numba has no word for: sums that stay in registers."""

    _AT_ONCE = 4  # components a turn of the loop

    def __init__(self, builder: Any, shape: Shape) -> None:
        self._builder, self._shape = builder, shape
        self._vector = ir.VectorType(ir.FloatType(), shape.lanes)
        # One fused step where the processor has it, else two.
        name, kind = f"llvm.fmuladd.v{shape.lanes}f32", ir.FunctionType(self._vector, [self._vector] * 3)
        self._fused = cgutils.get_or_insert_function(builder.module, kind, name)

    def multiply_add(self, *given: Any) -> None:
        """Write the microkernel, given what it is called with."""
        builder, shape = self._builder, self._shape
        rows, first, available, begin, end, panels, panel, sums, place = given
        d = builder.extract_value(rows.shape, 1)
        last = builder.sub(available, _number(1))
        lefts = []
        for r in map(_number, range(shape.rows)):
            row = builder.add(first, builder.select(builder.icmp_signed("<", r, available), r, last))
            lefts.append(builder.gep(rows.data, [builder.mul(row, d)]))
        right = builder.gep(panels.data, [panel])
        to = builder.gep(sums.data, [place])
        at = [(r, v) for r in range(shape.rows) for v in range(shape.vectors)]
        where = [self._vector_at(to, _number(r * shape.width + v * shape.lanes)) for r, v in at]
        found = [self._load(pointer) for pointer in where]
        turns = builder.mul(builder.sdiv(builder.sub(end, begin), _number(self._AT_ONCE)), _number(self._AT_ONCE))
        middle = builder.add(begin, turns)
        found = self._loop(begin, middle, self._AT_ONCE, lefts, right, found)
        found = self._loop(middle, end, 1, lefts, right, found)
        for value, pointer in zip(found, where, strict=True):
            builder.store(value, pointer).align = 4

    def _loop(self, begin: Any, end: Any, step: int, lefts: list[Any], right: Any, sums: list[Any]) -> list[Any]:  # noqa: PLR0913, PLR0917
        """Add the products of components from `begin` to `end`, so many a turn, and return the sums."""
        builder = self._builder
        entry, body, after = builder.block, builder.append_basic_block("turn"), builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", begin, end), body, after)
        builder.position_at_end(body)
        k = builder.phi(begin.type)
        before = [builder.phi(self._vector) for _ in sums]
        found: list[Any] = list(before)
        for ahead in range(step):
            found = self._component(builder.add(k, _number(ahead)), lefts, right, found)
        following = builder.add(k, _number(step))
        for phi, first, again in zip([k, *before], [begin, *sums], [following, *found], strict=True):
            phi.add_incoming(first, entry)
            phi.add_incoming(again, body)
        builder.cbranch(builder.icmp_signed("<", following, end), body, after)
        builder.position_at_end(after)
        return [self._either((first, entry), (again, body)) for first, again in zip(sums, found, strict=True)]

    def _either(self, *ways: tuple[Any, Any]) -> Any:
        """Return a value that depends on the block that the program comes from."""
        chosen = self._builder.phi(self._vector)
        for value, block in ways:
            chosen.add_incoming(value, block)
        return chosen

    def _component(self, k: Any, lefts: list[Any], right: Any, sums: list[Any]) -> list[Any]:
        """Add the products of one component of each row with that of each column."""
        builder, shape = self._builder, self._shape
        start = builder.mul(k, _number(shape.width))
        columns = [
            self._load(self._vector_at(right, builder.add(start, _number(v * shape.lanes))))
            for v in range(shape.vectors)
        ]
        found = []
        for r, left in enumerate(lefts):
            row = self._spread(builder.load(builder.gep(left, [k])))
            found += [
                builder.call(self._fused, [row, columns[v], sums[r * shape.vectors + v]]) for v in range(shape.vectors)
            ]
        return found

    def _spread(self, value: Any) -> Any:
        undefined = ir.Constant(self._vector, ir.Undefined)
        first = self._builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self._shape.lanes), [0] * self._shape.lanes)
        return self._builder.shuffle_vector(first, undefined, lanes)

    def _vector_at(self, array: Any, place: Any) -> Any:
        return self._builder.bitcast(self._builder.gep(array, [place]), self._vector.as_pointer())

    def _load(self, pointer: Any) -> Any:
        loaded = self._builder.load(pointer)
        loaded.align = 4
        return loaded


def _number(value: int) -> Any:
    return ir.Constant(ir.IntType(64), value)


SHAPE = shape_for(_features())
_multiply_add = microkernel(SHAPE)
_ROWS = SHAPE.rows
WIDTH = SHAPE.width  # columns of a panel


@compiled
def count_piece(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    unit: Float32,
    i0: int,
    i1: int,
    j0: int,
    j1: int,
    begin: Int32,
    low: Int32,
    high: Int32,
    skip: Int32,
    scale: np.float32,
    zero: np.float32,
    impostor: Int32,
    genuine: Int32,
    packed_from: int,
    panels: Float32,
    sums: Float32,
    bins: UInt16,
    listed: Int32,
    found_i: Int32,
    found_j: Int32,
    found: Float32,
) -> int:
    """Count the pairs of a piece; put those of flagged bins into what is `found`; return their number.

    Parameters
    ----------
    unit
        ``[n, d]`` float32, of which the rows from `i0` to `i1` are compared with those from `j0` to `j1`.
    begin, low, high, skip
        As in `evaljobs.pairs.spans.Spans`; `begin` ascending.
    scale, zero
        A pair is in bin ``int(product * scale + zero)``.
    impostor, genuine
        ``[bins + WIDTH]`` int32: counters, with the flag of each bin in the sign; and some for what is not counted.
    packed_from
        Position of the first column that is packed.
    panels, sums, bins, listed, found_i, found_j, found
        Of a `Room`.
    """
    d = unit.shape[1]
    most_rows = min(MOST_ROWS, max(1, _ROWS_SIZE // (d * _ROWS)) * _ROWS)
    m = 0
    for i in range(i0, i1, most_rows):
        i_end = min(i + most_rows, i1)
        rows = slice(i - i0, i_end - i0)
        for j in range(j0 - (j0 - packed_from) % WIDTH, j1, WIDTH):
            end = min(j + WIDTH, j1) - j0
            if begin[i - i0] >= end:  # on the diagonal, where no row has pairs as far left as this
                continue
            _multiply(unit, i, i_end, panels, (j - packed_from) * d, sums)
            spans = begin[rows], low[rows], high[rows], skip[rows]
            listed_here = _count_panel(sums, bins, *spans, j - j0, end, scale, zero, impostor, genuine, listed)
            for k in range(np.uintp(listed_here)):  # unsigned: no look whether an index counts from the end
                place, to = np.uintp(listed[k]), np.uintp(m) + k
                found_i[to], found_j[to] = i + np.intp(place // WIDTH), j + np.intp(place % WIDTH)
                found[to] = sums[place]
            m += listed_here
    impostor[-WIDTH:] = 0
    return m


@compiled
def pack(unit: Float32, first: int, end: int, panels: Float32) -> None:
    """Put the components of `WIDTH` columns beside each other, panel after panel; the last one is filled with zeros."""
    d = unit.shape[1]
    for start in range(first, end, WIDTH):
        panel = panels[(start - first) * d : (start - first + WIDTH) * d]
        for c in range(WIDTH):
            for k in range(d):
                panel[k * WIDTH + c] = unit[start + c, k] if start + c < end else 0


@compiled
def _multiply(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    unit: Float32, i: int, i_end: int, panels: Float32, panel: int, sums: Float32
) -> None:
    """Multiply some rows with a panel."""
    d, depth = unit.shape[1], _PANEL_SIZE // WIDTH
    sums[: (i_end - i + _ROWS - 1) // _ROWS * _ROWS * WIDTH] = 0
    for k in range(0, d, depth):
        for r in range(i, i_end, _ROWS):
            place = (r - i) * WIDTH
            _multiply_add(unit, r, min(_ROWS, i_end - r), k, min(k + depth, d), panels, panel, sums, place)


@compiled
def _count_panel(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    sums: Float32,
    bins: UInt16,
    begin: Int32,
    low: Int32,
    high: Int32,
    skip: Int32,
    start: int,
    end: int,
    scale: np.float32,
    zero: np.float32,
    impostor: Int32,
    genuine: Int32,
    listed: Int32,
) -> int:
    """Count the products of some rows with a panel, and list those of flagged bins.

    The panel begins at column `start` of the piece, which may lie before its first one, 0, and ends at `end`.
    """
    height, left_out = begin.shape[0], impostor.shape[0] - WIDTH
    for e in range(height * WIDTH):
        bins[e] = np.uint16(np.int32(sums[e] * scale + zero))
    mixed = start < 0 or start + WIDTH > end
    for r in range(height):
        is_genuine = low[r] < end and high[r] > max(low[r], start)
        mixed |= begin[r] > start or is_genuine or max(start, 0) <= skip[r] < end
    m = 0
    if mixed:  # few panels
        for r in range(height):
            # What is not an impostor goes into counters that are thrown away: many, so that none waits for another.
            row, first, last = bins[r * WIDTH : (r + 1) * WIDTH], max(begin[r], start), min(start + WIDTH, end)
            for c in range(min(first - start, WIDTH)):
                row[c] = left_out + c
            for c in range(last - start, WIDTH):
                row[c] = left_out + c
            if first <= skip[r] < last:
                row[skip[r] - start] = left_out
            for c in range(max(first, low[r]) - start, min(last, high[r]) - start):
                b = row[c]
                if b < left_out:
                    number = genuine[b]
                    genuine[b] = number + 1
                    listed[m] = r * WIDTH + c
                    m += number < 0
                    row[c] = left_out + c
    return _count_span(bins, 0, height * WIDTH, impostor, listed, m)


@compiled
def _count_span(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    bins: UInt16, first: int, last: int, counts: Int32, listed: Int32, m: int
) -> int:
    # One branch for a block of pairs, since few have any that is flagged. A panel is whole blocks.
    for start in range(first, last, _BLOCK):
        noted = np.int32(0)
        block = bins[start : start + _BLOCK]
        for e in range(_BLOCK):
            number = counts[block[e]]
            counts[block[e]] = number + 1
            noted |= number
        if noted < 0:
            m = _list(bins, start, start + _BLOCK, counts, listed, m)
    return m


@compiled
def _list(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    bins: UInt16, first: int, last: int, counts: Int32, listed: Int32, m: int
) -> int:
    """List the pairs of flagged bins; without a branch, for which they are cannot be foretold."""
    to = np.uintp(m)
    for e in range(np.uintp(first), np.uintp(last)):
        listed[to] = e
        to += np.uintp(counts[bins[e]] < 0)
    return np.intp(to)  # type: ignore[return-value]


@compiled
def move(  # noqa: PLR0913, PLR0917 - a kernel takes arrays, not objects
    number: Int32, total: Int64, groups: Int64, a: int, b: int, fold: int
) -> None:
    """Add counters to the total, and to the groups `a` and `b` that they touch; set them to zero; flags stay."""
    n = number.shape[0]
    for start in range(0, n, _FOLDS * fold):
        end = min(start + _FOLDS * fold, n)
        occupied = np.int32(0)
        for e in range(start, end):
            occupied |= number[e]
        if occupied & _NUMBER == 0:
            continue
        for first in range(start, end, fold):
            found = np.int64(0)
            for e in range(first, min(first + fold, end)):
                found += number[e] & _NUMBER
            if groups.shape[1] > 0:
                groups[a, first // fold] += found
                if b != a:
                    groups[b, first // fold] += found
        for e in range(start, end):  # by itself: several at a time
            total[e] += number[e] & _NUMBER
            number[e] &= FLAG
