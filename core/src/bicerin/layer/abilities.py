"""What a few layers can do beyond the contract. The core asks `isinstance(layer, ...)`; a layer that can do nothing of
this loses nothing but speed, or a line in a report.

    ActsAffinely      its forward pass is scale, shift and slope by channel: a layer before it may do that
    LearnsAffinely    it does so with a scale and a shift that it learns: a layer before it may find their gradients too
    TrainsTogether    in training it does both passes of such layers right after it, together with its own
    Finishes          it does that for the layers after it, as it writes its sums
    IsSum             its forward pass is the sum of its two bottoms, at least sometimes
    AddsAnother       it does that, and the rectifier after it, as it writes its own
    CountsProducts    it tells how many multiply-adds it takes, for `bicerin check`
    TellsShapes       it tells its tops' shapes without its data, for `bicerin check`
    HasExample        it shows a net with itself, since its package has no case for it
    ChecksInputs      it explains a loss of NaN that a device computed
    SharesInParallel  one instance may serve several nets
    TakesTurns        several ranks divide what it reads, and it passes by what others read
    KeepsTops         values in its tops may stay from one forward pass to the next
    ReadsTops         its backward pass reads what is in its tops, which no later layer may overwrite
    RereadsBottoms    its backward pass asks its bottoms for their values again, which may be elsewhere by then
    Spares            in place, it leaves something of what it overwrites
    PutsSideBySide    its forward pass only copies blobs that lie one after the other in another one
    Chooses           a top says which elements of its bottom it chose, where others may be as good
    Replays           its forward pass is a number of calls of native functions, which may be made again without it
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from bicerin.errors import LayerError
from bicerin.kernels.affine import Affine, Finish
from bicerin.layer.blob import Blob

if TYPE_CHECKING:
    from bicerin.layer.layer import Layer


class ActsAffinely(ABC):
    """A layer whose forward pass is y = f(scale * x + shift) for each channel, at least sometimes."""

    @abstractmethod
    def affine(self) -> Affine | None:
        """The scale, shift and slope at this moment; None where the forward pass is more than that.

        A layer before this one may then do it too, and this one's `forward` is not called. So it must leave nothing
        behind that `backward` needs, where there is a scale or a shift and no gradient is asked for.
        """


class LearnsAffinely(ActsAffinely):
    """A layer whose scale and shift are learnable blobs of its own, at least sometimes."""

    @abstractmethod
    def add_affine_gradients(self, scale: np.ndarray, shift: np.ndarray) -> None:
        """Add to the gradients of its blobs; `(C,)` each. Called only where `affine` is not None."""


class TrainsTogether(ABC):
    """A layer of one bottom and one top that can do, while a net is trained, both passes of the layers right after it,
    which scale, shift and rectify its top in place.
    """

    @abstractmethod
    def takes(self, layers: Sequence[ActsAffinely]) -> int:
        """How many of the layers, from the first on, as all are set up now. Called after `reshape`."""

    @abstractmethod
    def forward_with(self, layers: Sequence[ActsAffinely], bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Write what the last of the layers writes; the top is theirs too."""

    @abstractmethod
    def backward_with(
        self,
        layers: Sequence[ActsAffinely],
        top: Sequence[Blob],
        propagate_down: Sequence[bool],
        bottom: Sequence[Blob],
    ) -> None:
        """After `forward_with`: the gradients of the bottom, where it is wanted, and of all the layers' blobs.

        It does not read the values of the top, which may be gone.
        """

    @abstractmethod
    def forward_again(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Write the values of the top again that the last `forward_with` wrote, and nothing else."""


def rectifies(step: Affine | None) -> bool:
    """Whether that is all that a layer does, and its gradient follows from the signs of its top."""
    return step is not None and step.scale is None and step.shift is None and step.negative_slope >= 0


class Finishes:
    """A layer of one top that writes it channel by channel, each sum once, with `finish`.

    Attributes:
        channel_axis: the axis of the top's channels; None where nothing can be done after what the layer does itself.
        absorbed: the layers whose work `finish` includes at present; the net sets it.
    """

    channel_axis: int | None
    absorbed: Sequence[ActsAffinely] = ()
    dtype: np.dtype[Any]
    _nothing: np.ndarray | None = None

    def finish(self, bias: np.ndarray | None) -> Finish:
        """What becomes of each sum before it is written: this layer's bias, then what the absorbed layers do."""
        if not self.absorbed:
            nothing = self._nothing
            if nothing is None:
                nothing = self._nothing = np.empty(0, self.dtype)
            return Finish(nothing, nothing if bias is None else bias, 1.0)
        return Finish.of(bias, affine_steps(self.absorbed), self.dtype)


class IsSum(ABC):
    """A layer of one top whose forward pass is the sum of its two bottoms, at least sometimes."""

    @abstractmethod
    def is_sum(self) -> bool:
        """Whether it is that, as it is set up now."""


class AddsAnother(Finishes):
    """A `Finishes` that can add another blob to what it writes, and rectify the sum.

    Attributes:
        addend: the blob to add at present, of the top's shape; None for none. The net sets it.
        rectifiers: the layers after the sum whose work is included, at most one, without scale and shift.
    """

    addend: Blob | None = None
    rectifiers: Sequence[ActsAffinely] = ()


def affine_steps(layers: Sequence[ActsAffinely]) -> list[Affine]:
    """What the layers do, one after the other.

    Raises:
        LayerError: one of them has changed since the net was built, and does more now.
    """
    steps = []
    for layer in layers:
        step = layer.affine()
        if step is None:
            raise LayerError(
                f"{layer!r}, whose work another layer does, no longer only scales and shifts: it was changed after the "
                "net was built.",
                "Build the net so, or run it with a function in net.before_forward: each layer then does its own work.",
            )
        steps.append(step)
    return steps


class CountsProducts(ABC):
    """A layer that knows its cost. Another counts as one operation per element of its tops."""

    @abstractmethod
    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        """How many multiplications with an addition a forward pass takes. Called after `reshape`."""


class TellsShapes(ABC):
    """A layer that knows something of its tops where its set-up ended with a `MissingDataError`."""

    @abstractmethod
    def shapes_without_data(self, tops: int) -> Sequence[Sequence[int | None] | None]:
        """The tops' likely shapes: what its parameters say, and what may be assumed; None for an axis, or a shape,
        that is not known.
        """


class ChecksInputs(ABC):
    """A layer whose inputs may be wrong in a way that only their values show, such as a label out of range.

    A device cannot raise errors itself, and to look at values before every pass would cost a copy to the host.
    """

    @abstractmethod
    def check_inputs(self, bottom: Sequence[Any]) -> None:
        """Raise what the host would have raised; called with its arrays where a device computed a loss of NaN."""


class SharesInParallel(ABC):
    """A layer of which one instance may serve all nets of a data-parallel run, each from its own thread."""

    @abstractmethod
    def share_in_parallel(self) -> bool:
        """Whether it does. Its forward and backward are then serialised, with tops and bottoms of another net each
        time; so it must not keep what backward needs from one forward to the next.
        """


class TakesTurns(ABC):
    """A layer that makes data, and need not make what other ranks of a test use."""

    @abstractmethod
    def take_turns(self, turns: range, passes: int) -> None:
        """Of the next `passes` forward passes only those that `turns` has, counted from 0, will be run.

        Each is to give what it would after all those before it. After the last one, or at once where there is none, the
        layer stands where it would after all. One whose turns are not over takes them again from its first one on, and
        its state is what it was before that.
        """


class KeepsTops:
    """A layer that may leave parts of its tops unwritten, whose values then stay from one forward pass to the next."""


class TopValues(IntEnum):
    """What a backward pass reads in a top, or what is left of a blob that is overwritten. More includes less."""

    NONE = 0
    #: Whether an element is positive, where a gradient arrives at it.
    SIGNS = 1
    #: The element itself, where a gradient arrives at it.
    ELEMENTS = 2
    #: All elements.
    ALL = 3


class ReadsTops(ABC):
    """A layer whose backward pass reads the values of its tops, at least sometimes.

    A layer after it that works in place overwrites them: the gradient is then wrong, and the net warns.
    """

    @abstractmethod
    def reads_in_tops(self) -> TopValues:
        """What it reads, as it is set up now. Called after `reshape`."""


class HasExample:
    """A layer whose package has no case for it, since it reads files.

    Attributes:
        example: for `bicerin plugins show` and the reference, a net with the layer, as a prototxt; it may be indented.
    """

    example: ClassVar[str]


class RereadsBottoms:
    """A layer that keeps no array of its bottoms' values from its forward pass to its backward pass, which asks the
    bottoms again where it reads them.

    The values may then have been given up, and be computed again, where that takes less than memory is worth.
    """

    def reads_in_bottoms(self) -> bool:
        """Whether the backward pass reads values of bottoms at all, as it is set up now. Called after `reshape`."""
        return True


class Spares(ABC):
    """A layer that leaves something of what it overwrites in place, which may be all that a `ReadsTops` reads."""

    @abstractmethod
    def spares(self) -> TopValues:
        """What it leaves. Called after `reshape`."""


class PutsSideBySide(ABC):
    """A layer that only joins its bottoms into its top, or cuts its tops out of its bottom, at least sometimes.

    Where nobody else reads them the net may keep the parts in the memory of the whole, and not call `forward`.
    """

    @abstractmethod
    def side_by_side(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> tuple[Blob, Sequence[Blob]] | None:
        """The whole, a bottom or a top, and all its parts, blobs of the other side, in their order in it; None where
        the elements of one do not stand together. Called after `reshape`.
        """


class Chooses(ABC):
    """A layer that writes which elements of its bottom are the largest, or the like.

    Of elements that are equal but for rounding, another program may choose another one, and is as right: an exported
    model, for one. Who compares the two compares what was chosen.
    """

    @abstractmethod
    def chosen(self, bottom: Sequence[Blob], top: int, choices: np.ndarray) -> np.ndarray | None:
        """What choices in the place of a top's stand for. Called after `forward`.

        Args:
            bottom: with the values that were chosen from.
            top: its place among the tops.
            choices: of the top's shape; they need not be the layer's own, nor right.

        Returns:
            The elements, NaN where a choice is none that the layer could make; None for a top that holds no choices.
        """


class Repetition(NamedTuple):
    """On what the calls of a forward pass depend, besides the parameters' versions, shapes and places in memory.

    Attributes:
        attributes: functions; as long as each returns what it returns now, the calls are right.
        keeps: what must live as long as the calls may be made.
    """

    attributes: Sequence[Callable[[], Any]] = ()
    keeps: Sequence[Any] = ()


class Replays(ABC):
    """A layer whose forward pass only calls native functions, at least sometimes.

    It appends each call to `bicerin.kernels.recording.recording.calls`, where those are recorded.
    """

    @abstractmethod
    def repetition(self) -> Repetition | None:
        """Asked after a forward pass: None where that did anything else than its calls, or where a parameter may be
        written without a new version.
        """


def multiply_adds(layer: Layer, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
    """The multiply-adds of a forward pass, by the layer's own count or one per element of its tops."""
    if isinstance(layer, CountsProducts):
        return int(layer.multiply_adds(bottom, top))
    return sum(blob.count for blob in top) if bottom else 0
