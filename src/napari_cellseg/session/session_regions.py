"""What a session does with a part of an image that is too large to be held as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_cellseg.errors import InputError
from napari_cellseg.session import region_operations as region_operations
from napari_cellseg.session.crops import crop_of, cropped
from napari_cellseg.session.operations import inside
from napari_cellseg.session.records import Availability, Run
from napari_cellseg.session.session_labels import SessionLabels, cells
from napari_cellseg.worker import Priority

if TYPE_CHECKING:
    from typing import Any

    from napari_cellseg.flows import Segmentation
    from napari_cellseg.labels import LabelDocument
    from napari_cellseg.labels.region_document import WrittenBack
    from napari_cellseg.volume import Volume
    from napari_cellseg.worker import Job

_stores: WeakKeyDictionary[Volume, Path] = WeakKeyDictionary()
"""By image, where its labels are."""
_PART = "This is a region already: choose the whole image first."


class SessionRegions(SessionLabels):
    """The part of a session that works on regions: of the image, and of its label store.

    A region is an image of its own from then on, with a document of its own; whoever turns to
    the whole image again leaves it as it is.
    """

    store_written: ClassVar[Signal] = Signal(object, object)
    """A box of a label store was written: its path, and the box over the label axes."""

    @property
    def label_store(self) -> Path | None:
        """The store with the labels of the whole image, where it is known.

        One that this program wrote, or was shown, for the image; else the image's own store,
        where that holds labels.
        """
        crop = crop_of(self.volume)
        volume = self.volume if crop is None else crop.parent
        if volume is None:
            return None
        known = _stores.get(volume)
        if known is None and volume.source is not None and volume.source.is_dir():
            from napari_cellseg.volume.ome_zarr import label_names

            if label_names(volume.source):
                _stores[volume] = known = volume.source
        return known

    def know_label_store(self, path: str | Path) -> None:
        """Say where the labels of the whole image are."""
        crop = crop_of(self.volume)
        volume = self.volume if crop is None else crop.parent
        if volume is not None:
            _stores[volume] = Path(path)
            self._refresh()

    def open_region(self, store: str | Path, region: Sequence[slice]) -> Job:
        """Open a box of the image, with its labels in a store, as an image of its own to edit.

        Parameters
        ----------
        store : path
            Of labels of the whole image.
        region : sequence of slice
            Over the label axes.

        Raises
        ------
        InputError
            There is no image, or it is a region itself, or the box does not fit.
        """
        self._need("open_region")
        where, parent = self._checked(region), self._given(self.volume)
        part = cropped(parent, where, self._spaced())
        path = Path(store)
        meta = {**self._document_meta(), "image": part.name, "source": f"region of {path.name}"}
        arguments = {
            "store": path,
            "region": where,
            "shape": self.label_shape,
            "axes": self.label_axes,
            "meta": meta,
        }

        def land(document: LabelDocument) -> None:
            _stores[parent] = path
            self.use_volume(part)
            self._set_document(document, None, None)
            self._count = len(document.objects)
            self._set_saved(path, False)
            self._idle_text = f"region of {path.name}: {cells(self._count)}"

        return self._submit(
            "open_region", "open region", arguments, land, lane="files", priority=Priority.VIEW
        )

    def write_back(self) -> Job:
        """Put the region's labels back into their store: all of them, or nothing."""
        self._need("write_back")
        document = self._given_document()
        if not document.read_only and document.absorb() is not None:
            self._notice_for_now(
                "Something else had written into the cells: it is a step that you can undo."
            )
        edits = self._edits

        def land(written: WrittenBack) -> None:
            from napari_cellseg.labels.region_document import region_of

            origin = region_of(document)
            if self.document is document:
                self._set_saved(written.store, self._edits != edits)
            self._idle_text = f"written back to {written.store.name}"
            new = sorted(written.renamed.values())
            if new:
                ids = f"{new[0]:,}" if len(new) == 1 else f"{new[0]:,} to {new[-1]:,}"
                self._notice_for_now(
                    f"In {written.store.name} {cells(len(new))} that you added "
                    f"{'has the id' if len(new) == 1 else 'have the ids'} {ids}."
                )
            self.store_written.emit(written.store, None if origin is None else origin.box)

        return self._submit(
            "write_back",
            "write region back",
            {"document": document},
            land,
            lane="files",
            finish=True,
        )

    def segment_region(self, region: Sequence[slice]) -> Job:
        """Segment a box with the intensity limits of the whole image, as an image of its own.

        Parameters
        ----------
        region : sequence of slice
            Over the label axes.
        """
        self._need("segment_region")
        where, parent = self._checked(region), self._given(self.volume)
        part = cropped(parent, where, self._spaced())
        arguments = {**self._run_arguments(), "region": where}
        settings = {**self.parameters.as_dict(), "region": None}

        def land(segmentation: Segmentation) -> None:
            self.use_volume(part)
            labels = inside(segmentation.labels, where)
            run = Run(segmentation, None, settings)
            document = self._made_document(labels)
            document.meta["source"] = f"model {settings['model']}"
            document.meta["parameters"] = dict(segmentation.parameters)
            self._source = run
            self._set_document(document, labels.copy(), run)
            document.set_quality(segmentation.table)
            self._count = len(document.objects)
            self._set_saved(None, True)
            self._idle_text = cells(self._count)
            for sentence in segmentation.notices:
                self._notice(sentence)

        return self._submit("segment_region", "segment", arguments, land)

    def _made_room(self, document: LabelDocument) -> bool:
        """Turn to the part of the image that a document is of, if it is one of a region."""
        from napari_cellseg.labels.region_document import region_of

        origin, parent = region_of(document), self.volume
        if origin is None or parent is None or document.axes != self.label_axes:
            return False
        sizes = zip(origin.box, self.label_shape, strict=True)
        if crop_of(parent) is not None or any(part.stop > size for part, size in sizes):
            return False
        _stores[parent] = origin.store
        self.use_volume(cropped(parent, origin.box, self._spaced()))
        return True

    def use_volume(
        self,
        volume: Any,
        axes: str | None = None,
        spacing: Sequence[float] | None = None,
    ) -> None:
        """Take another image; see `Session`."""
        raise NotImplementedError

    def _run_arguments(self) -> dict[str, Any]:
        """Arguments of the engine; see `Session`."""
        raise NotImplementedError

    def _availability(self) -> dict[str, Availability]:
        found = super()._availability()
        whole = found["segment"]
        if whole and crop_of(self.volume) is not None:
            whole = Availability(False, _PART)
        back = Availability(False, "These cells are no region of a label store.")
        if "write_back" in self._jobs:
            back = Availability(False, "The region is being written back.")
        elif self.document is not None and "region" in self.document.meta:
            back = Availability(True)
        return {**found, "segment_region": whole, "open_region": whole, "write_back": back}

    def _check_target(self, path: Path) -> None:
        """Refuse to add the labels of a region to the store of the whole image.

        Raises
        ------
        InputError
            It is that store.
        """
        crop = crop_of(self.volume)
        whole = [] if crop is None else [crop.parent.source, self.label_store]
        if any(one is not None and one.absolute() == path.absolute() for one in whole):
            raise InputError(
                f"{path.name} is of the whole image, and these are the cells of a region: "
                "write them back, or choose another name."
            )
