"""Which channels of an image a network is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cellseg.errors import InputError
from napari_cellseg.flows.limits import ToGrey, luminance
from napari_cellseg.networks.protocol import FlowNetwork, channels_of
from napari_cellseg.volume import Volume

#: What users name channels by.
Channel = int | str | Sequence[int | str]


def check_channels(channel: Channel, image: Volume) -> tuple[int, ...]:
    """Return the indices of the channels that the user named; an RGB image is one channel.

    Raises
    ------
    InputError
        If there is no such channel, one is named twice, or none is named.
    """
    if image.rgb:
        return (0,)
    named = [channel] if isinstance(channel, str) or not isinstance(channel, Sequence) else channel
    indices = tuple(image.channel_index(one) for one in named)
    if not indices or len(set(indices)) < len(indices):
        raise InputError(
            f"channel={channel!r} of {image.name!r} names "
            f"{'a channel twice' if indices else 'no channel'}: name each that is wanted once."
        )
    return indices


@dataclass(frozen=True)
class Shown:
    """The channels of an image that a network is shown.

    Attributes
    ----------
    image : Volume
    channels : tuple of int
    to_grey : callable or None
        Makes grey of colour, for networks that take one channel only.
    several : bool
        Whether stacks have a last axis of channels that the network takes.
    """

    image: Volume
    channels: tuple[int, ...]
    to_grey: ToGrey | None
    several: bool

    @classmethod
    def to(cls, network: FlowNetwork, image: Volume, channels: tuple[int, ...]) -> "Shown":
        """Choose what a network is shown.

        Raises
        ------
        InputError
            If it takes fewer channels.
        """
        most = channels_of(network)
        if len(channels) > most:
            raise InputError(
                f"{len(channels)} channels of {image.name!r} are given, but the model "
                f"“{network.title}” takes {most}: name {'one' if most == 1 else 'fewer'}."
            )
        colour = image.rgb and most >= 3
        return cls(
            image,
            channels,
            luminance if image.rgb and not colour else None,
            colour or len(channels) > 1,
        )

    def stack(self, t: int, space: tuple[slice, ...] | None = None) -> Any:
        """The image at one time point, or a region of it, read when it is used.

        Parameters
        ----------
        t : int
        space : tuple of slice, optional
            Over ([z,] y, x).

        Returns
        -------
        array-like, (z, y, x), or (z, y, x, c) with ``several`` or colour
            A 2D image is one plane.
        """
        parts = []
        for channel in self.channels:
            part = self.image.stack(channel, t)
            part = part if space is None else part[space]
            parts.append(part if self.image.is_3d else part[None])
        return parts[0] if len(parts) == 1 else Channels(parts)


class Channels:
    """Stacks as the channels of one, (z, y, x, c), read when they are indexed.

    Parameters
    ----------
    stacks : sequence of array-like, (z, y, x)
    """

    def __init__(self, stacks: Sequence[Any]) -> None:
        self._stacks = stacks
        self.shape = (*(int(n) for n in stacks[0].shape), len(stacks))

    def __getitem__(self, where: Any) -> NDArray[np.generic]:
        return np.stack([np.asarray(stack[where]) for stack in self._stacks], -1)
