"""What a session promises to whoever drives it: a dock, the command line, a script."""

import json
import queue
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fake_engine import FakeEngine
from napari_cellseg.errors import Cancelled, InputError, ModelError
from napari_cellseg.session import Session
from napari_cellseg.volume import read_labels, write_labels
from napari_cellseg.worker import InferenceWorker, JobState

WAIT = 20.0


def test_new_session_says_what_it_needs() -> None:
    session = Session()
    assert session.can("open")
    for verb in ("try", "segment", "relabel", "save", "adopt", "estimate_diameter"):
        assert not session.can(verb)
        assert session.can(verb).reason.endswith(".")
    with pytest.raises(InputError, match="Open an image first"):
        session.segment()
    assert session.status.text == "Open an image to begin."


def test_volume_sets_spacing_unit_and_label_geometry(session: Session) -> None:
    assert session.parameters.spacing == (2.0, 0.5, 0.5)
    assert session.unit == "µm"
    assert (session.label_axes, session.label_shape) == ("zyx", (6, 20, 30))
    assert session.label_scale == (2.0, 0.5, 0.5)


def test_unknown_spacing_is_voxels_until_it_is_set(
    session: Session, image: NDArray[np.float32]
) -> None:
    session.parameters.diameter = 8.0
    session.use_volume(image, axes="zyx")
    assert session.unit == "voxels"
    assert session.parameters.diameter is None  # it was a length in µm
    session.parameters.spacing = (1.0, 0.2, 0.2)
    assert session.unit == "µm"
    session.segment().wait(WAIT)
    assert session.result is not None
    assert session.result.parameters["spacing"] == [1.0, 0.2, 0.2]


def test_time_axis_has_scale_one(session: Session) -> None:
    session.use_volume(np.zeros((2, 3, 8, 8), np.uint8), spacing=(2.0, 0.5, 0.5))
    assert session.label_axes == "tzyx"
    assert session.label_scale == (1.0, 2.0, 0.5, 0.5)


def test_open_segment_save(session: Session, tmp_path: Path, image: NDArray[np.float32]) -> None:
    import tifffile

    source = tmp_path / "stack.tif"
    tifffile.imwrite(source, image, metadata={"axes": "ZYX"}, imagej=True)
    session.open(source, spacing=(2.0, 0.5, 0.5)).wait(WAIT)
    assert session.volume is not None
    assert session.volume.source == source
    session.segment().wait(WAIT)
    assert session.labels is not None
    assert session.labels.max() == 2
    assert (session.saved_path, session.dirty) == (None, True)
    target = tmp_path / "cells.tif"
    assert session.save(target).wait(WAIT) == target
    assert (session.saved_path, session.dirty) == (target, False)
    labels, spacing = read_labels(target)
    np.testing.assert_array_equal(labels, session.labels)
    assert spacing == (2.0, 0.5, 0.5)
    session.labels[0, 0, 0] = 99
    session.note_edit()
    assert session.dirty


def test_failure_is_told_and_nothing_is_lost(session: Session, tmp_path: Path) -> None:
    failures: list[Exception] = []
    session.failed.connect(failures.append)
    session.segment().wait(WAIT)
    before = session.labels
    job = session.open(tmp_path / "no such.tif")
    with pytest.raises(InputError):
        job.wait(WAIT)
    assert failures == [session.last_error]
    assert session.status.text == str(session.last_error)
    assert session.labels is before
    assert not session.status.busy


def test_model_that_fails_is_told(session: Session, engine: FakeEngine) -> None:
    engine.fail = ModelError("The checkpoint holds another model.")
    with pytest.raises(ModelError):
        session.segment().wait(WAIT)
    assert session.labels is None
    assert session.status.text == "The checkpoint holds another model."
    engine.fail = None
    session.segment().wait(WAIT)
    assert session.last_error is None


def test_labels_are_a_working_copy(session: Session) -> None:
    arrays: list[object] = []
    session.labels_changed.connect(arrays.append)
    session.segment().wait(WAIT)
    assert session.labels is arrays[-1]
    assert session.result is not None
    assert session.labels is not session.result.labels
    session.labels[:] = 7  # a brush writes into this very array
    assert session.result.labels.max() == 2


def test_one_load_serves_all(
    session: Session, engine: FakeEngine, image: NDArray[np.float32]
) -> None:
    session.segment().wait(WAIT)
    session.try_region((slice(2, 3), slice(None), slice(None))).wait(WAIT)
    other = Session(worker=session._own_worker)
    other.use_volume(image)
    other.parameters.device = "cpu"
    other.segment().wait(WAIT)
    assert engine.loads == ["builtin"]
    other.close()


def test_try_gives_a_proposal_of_the_region(session: Session, engine: FakeEngine) -> None:
    session.try_region((slice(2, 3), slice(0, 10), slice(None))).wait(WAIT)
    proposal = session.proposal
    assert proposal is not None
    assert proposal.kind == "try"
    assert proposal.labels.shape == (1, 10, 30)
    assert proposal.offset == (2, 0, 0)
    assert engine.calls[-1]["region"] == (slice(2, 3), slice(0, 10), slice(0, 30))
    assert session.labels is None
    session.apply().wait(WAIT)
    assert session.labels is not None
    assert session.labels.shape == (6, 20, 30)
    assert set(np.unique(np.nonzero(session.labels)[0])) == {2}


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ((slice(0, 1),), "has 1 slices"),
        ((slice(3, 3), slice(None), slice(None)), "empty or uneven along z"),
        ((slice(None), slice(0, 9, 2), slice(None)), "along y"),
    ],
)
def test_impossible_region(session: Session, region: tuple[slice, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        session.try_region(region)
    assert not session.busy


def test_relabel_makes_a_proposal_and_apply_takes_it(session: Session) -> None:
    session.segment().wait(WAIT)
    session.parameters.probability = 0.2
    session.relabel().wait(WAIT)
    proposal = session.proposal
    assert proposal is not None
    assert (proposal.kind, int(proposal.labels.max())) == ("relabel", 3)
    assert session.labels is not None
    assert session.labels.max() == 2
    session.apply().wait(WAIT)
    assert session.proposal is None
    assert session.labels.max() == 3
    assert session.result is proposal.segmentation
    assert session.can("relabel")


def test_only_the_newest_slider_position_is_labelled(
    session: Session, inference: InferenceWorker
) -> None:
    session.segment().wait(WAIT)
    gate, running = threading.Event(), threading.Event()

    def blocked() -> None:
        running.set()
        assert gate.wait(WAIT)

    from napari_cellseg.worker import operation

    operation("test block the lane")(lambda context: blocked())
    inference.submit("test block the lane", lane="decode")
    assert running.wait(WAIT)
    jobs = []
    for probability in (0.6, 0.7, 0.85, 0.2):
        session.parameters.probability = probability
        jobs.append(session.relabel())
    gate.set()
    jobs[-1].wait(WAIT)
    assert [job.state for job in jobs] == [JobState.SUPERSEDED] * 3 + [JobState.DONE]
    assert session.proposal is not None
    assert session.proposal.segmentation.parameters["probability"] == 0.2
    assert not session.busy


def test_discard_returns_to_the_result(session: Session) -> None:
    session.segment().wait(WAIT)
    result = session.result
    session.try_region((slice(1, 2), slice(None), slice(None))).wait(WAIT)
    assert session.segmentation is not result
    session.discard()
    assert session.proposal is None
    assert session.segmentation is result
    assert not session.can("apply")


def test_undo_brings_back_the_labels_once(session: Session) -> None:
    session.segment().wait(WAIT)
    before, result = session.labels, session.result
    session.parameters.probability = 0.2
    session.relabel().wait(WAIT)
    session.apply().wait(WAIT)
    kept = before.copy()
    assert not np.array_equal(session.labels, kept)
    session.undo()
    assert np.array_equal(session.labels, kept)
    assert session.result is result
    session.redo()
    assert not np.array_equal(session.labels, kept)
    assert session.result is not result
    session.undo()
    assert not session.can("undo")
    session.parameters.probability = 0.2
    session.relabel().wait(WAIT)
    assert session.proposal is not None
    assert session.proposal.labels.max() == 3


def test_segment_does_not_replace_hand_edits(session: Session) -> None:
    session.segment().wait(WAIT)
    assert session.labels is not None
    session.labels[0, 0, 0] = 99  # nobody told the session: it looks
    painted = session.labels
    session.segment().wait(WAIT)
    assert session.labels is painted
    assert session.proposal is not None
    assert session.proposal.kind == "segment"
    assert any("edited" in notice for notice in session.notices)
    session.apply().wait(WAIT)
    assert session.labels[0, 0, 0] == 99
    assert session.labels.max() == 99


def test_segment_over_untouched_labels_replaces_them(session: Session) -> None:
    session.segment().wait(WAIT)
    first = session.labels
    session.parameters.probability = 0.2
    session.segment().wait(WAIT)
    assert session.labels is not first
    assert session.proposal is None
    assert session.labels is not None
    assert session.labels.max() == 3


def test_stroke_while_segmenting_makes_it_a_proposal(session: Session, engine: FakeEngine) -> None:
    session.segment().wait(WAIT)
    engine.gate = threading.Event()
    engine.running.clear()
    job = session.segment()
    assert engine.running.wait(WAIT)
    session.stroke((np.array([0]), np.array([0]), np.array([0])), 99, gather=False)
    engine.gate.set()
    job.wait(WAIT)
    assert session.proposal is not None


def test_stroke_while_applying_is_kept(session: Session) -> None:
    """The merge is made again with the stroke, although its first outcome was on its way."""
    session.segment().wait(WAIT)
    session.parameters.probability = 0.2
    session.relabel().wait(WAIT)
    mail: queue.Queue = queue.Queue()
    session.deliver = mail.put
    session.apply().wait(WAIT)
    assert session.labels is not None
    session.labels[0, 0, 0] = 55
    session.note_edit()
    while session.busy:
        mail.get(timeout=WAIT)()
    assert session.proposal is None
    assert session.labels[0, 0, 0] == 55
    assert np.count_nonzero(np.unique(session.labels)) == 4


def test_adopted_labels_are_the_users_own(session: Session) -> None:
    mine = np.zeros((6, 20, 30), np.uint32)
    mine[1:4, 2:8, 2:8] = 12
    assert session.adopt(mine) is None
    assert session.labels is mine
    assert session.edited
    assert session.result is None
    assert not session.can("relabel")
    session.segment().wait(WAIT)
    assert session.proposal is not None
    session.apply().wait(WAIT)
    assert session.labels is not None
    assert set(np.unique(session.labels)) == {0, 12, 13}
    np.testing.assert_array_equal(session.labels == 12, mine == 12)


def test_adopt_a_file(session: Session, tmp_path: Path) -> None:
    mine = np.zeros((6, 20, 30), np.uint32)
    mine[2:4, 2:8, 2:8] = 5
    path = write_labels(tmp_path / "mine.tif", mine, spacing=(2.0, 0.5, 0.5))
    job = session.adopt(path)
    assert job is not None
    job.wait(WAIT)
    np.testing.assert_array_equal(session.labels, mine)
    assert not session.dirty


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros((6, 20, 31), np.uint32), "have shape"),
        (np.full((6, 20, 30), 0.5, np.float32), "fractions"),
        (np.full((6, 20, 30), 1j), "whole numbers"),
        (np.full((6, 20, 30), -1), "negative"),
    ],
)
def test_labels_that_do_not_fit(session: Session, labels: NDArray[np.uint32], message: str) -> None:
    with pytest.raises(InputError, match=message):
        session.adopt(labels)
    assert session.labels is None


def test_new_image_ends_what_ran_on_the_old_one(
    session: Session, engine: FakeEngine, image: NDArray[np.float32]
) -> None:
    engine.gate = threading.Event()
    job = session.segment()
    assert engine.running.wait(WAIT)
    session.use_volume(image[:3])
    engine.gate.set()
    with pytest.raises(Cancelled):
        job.wait(WAIT)
    assert job.state is JobState.SUPERSEDED
    assert session.labels is None
    assert not session.busy
    engine.gate = None
    session.segment().wait(WAIT)
    assert session.labels is not None
    assert session.labels.shape == (3, 20, 30)


def test_cancel(session: Session, engine: FakeEngine) -> None:
    failures: list[Exception] = []
    session.failed.connect(failures.append)
    engine.gate = threading.Event()
    job = session.segment()
    assert engine.running.wait(WAIT)
    assert session.can("cancel")
    assert session.can("segment").reason.startswith("A segmentation is running")
    session.cancel()
    engine.gate.set()
    with pytest.raises(Cancelled):
        job.wait(WAIT)
    assert session.labels is None
    assert failures == []
    assert session.status.text == "cancelled"


def test_status_tells_operation_and_progress(session: Session, engine: FakeEngine) -> None:
    statuses = []
    session.status_changed.connect(statuses.append)
    session.segment().wait(WAIT)
    assert statuses[0].operation == "segment"
    assert statuses[0].busy
    assert any(s.text == "segmenting · xy 1/4" and s.fraction == 0.25 for s in statuses)
    assert statuses[-1].text == "2 cells"
    assert not statuses[-1].busy


def test_availability_is_announced(session: Session) -> None:
    changes = []
    session.availability_changed.connect(lambda: changes.append(bool(session.can("save"))))
    session.segment().wait(WAIT)
    assert changes[0] is False
    assert changes[-1] is True


def test_notices_are_said_once(session: Session, engine: FakeEngine) -> None:
    engine.notices = ("This image looks unlike the training data.",)
    said: list[str] = []
    session.noticed.connect(said.append)
    session.segment().wait(WAIT)
    session.segment().wait(WAIT)
    assert said == ["This image looks unlike the training data."]


def test_a_run_takes_back_what_the_run_before_said(session: Session, engine: FakeEngine) -> None:
    engine.notices = ("The model is unsure.", "The diameter was estimated.")
    session.segment().wait(WAIT)
    before = [one for one in session.notices if one not in engine.notices]
    engine.notices = ("The diameter was estimated.",)
    session.segment().wait(WAIT)
    assert session.notices == (*before, "The diameter was estimated.")


def test_state_changes_only_where_results_are_delivered(session: Session) -> None:
    mail: queue.Queue = queue.Queue()
    session.deliver = mail.put
    session.segment().wait(WAIT)
    assert session.labels is None
    assert session.busy
    while session.busy:
        mail.get(timeout=WAIT)()
    assert session.labels is not None


def test_closed_session_is_silent(session: Session) -> None:
    mail: queue.Queue = queue.Queue()
    heard: list[object] = []
    session.deliver = mail.put
    session.segment().wait(WAIT)
    session.labels_changed.connect(heard.append)
    session.status_changed.connect(heard.append)
    session.close()
    session.close()
    while not mail.empty():
        mail.get()()
    assert heard == []
    assert session.volume is None
    with pytest.raises(InputError):
        session.segment()


def test_close_while_it_runs(session: Session, engine: FakeEngine) -> None:
    engine.gate = threading.Event()
    job = session.segment()
    assert engine.running.wait(WAIT)
    session.close()
    engine.gate.set()
    with pytest.raises(Cancelled):
        job.wait(WAIT)


def test_save_goes_on_when_the_session_closes(
    session: Session, inference: InferenceWorker, tmp_path: Path
) -> None:
    from napari_cellseg.worker import operation

    session.segment().wait(WAIT)
    gate, running = threading.Event(), threading.Event()

    def hold() -> None:
        running.set()
        assert gate.wait(WAIT)

    operation("test hold the files")(lambda context: hold())
    inference.submit("test hold the files", lane="files")
    assert running.wait(WAIT)
    job = session.save(tmp_path / "cells.tif")
    session.close()
    gate.set()
    assert job.wait(WAIT) == tmp_path / "cells.tif"
    assert read_labels(tmp_path / "cells.tif")[0].max() == 2


def test_save_of_the_former_image_does_not_mark_the_new_one(
    session: Session, inference: InferenceWorker, image: NDArray[np.float32], tmp_path: Path
) -> None:
    from napari_cellseg.worker import operation

    session.segment().wait(WAIT)
    gate, running = threading.Event(), threading.Event()

    def hold() -> None:
        running.set()
        assert gate.wait(WAIT)

    operation("test hold the former save")(lambda context: hold())
    inference.submit("test hold the former save", lane="files")
    assert running.wait(WAIT)
    job = session.save(tmp_path / "cells.tif")
    session.use_volume(image[:3])
    gate.set()
    assert job.wait(WAIT) == tmp_path / "cells.tif"
    assert session.saved_path is None
    assert not session.busy


def test_metadata_describe_the_labels_and_undo_brings_their_settings_back(
    session: Session,
) -> None:
    session.segment().wait(WAIT)
    session.parameters.probability = 0.2
    session.relabel().wait(WAIT)
    assert session.layer_metadata()["parameters"]["probability"] == 0.5
    session.apply().wait(WAIT)
    assert session.layer_metadata()["parameters"]["probability"] == 0.2
    session.undo()
    assert session.parameters.probability == 0.5
    session.parameters.probability = 0.052
    assert session.layer_metadata()["parameters"]["probability"] == 0.5
    assert session.layer_metadata()["result"]["probability"] == 0.5


def test_saving_beside_a_proposal_is_said_while_it_lasts(session: Session, tmp_path: Path) -> None:
    session.segment().wait(WAIT)
    session.relabel().wait(WAIT)
    session.save(tmp_path / "cells.tif").wait(WAIT)
    assert any("not part of the saved file" in said for said in session.notices)
    session.discard()
    assert session.notices == ()


def test_cells_kept_by_hand_are_counted_and_no_longer_said_after_undo(session: Session) -> None:
    session.segment().wait(WAIT)
    assert session.labels is not None
    session.labels[0, 0, 0] = 99
    session.note_edit()
    session.parameters.probability = 0.2
    session.segment().wait(WAIT)
    session.apply().wait(WAIT)
    assert session.status.text == "4 cells"
    assert session.notices == ("Kept 1 object that you changed.",)
    session.undo()
    assert session.notices == ()


def test_removed_labels_start_afresh_and_come_back_once(session: Session) -> None:
    session.segment().wait(WAIT)
    session.note_edit()
    before = session.labels
    session.remove_labels()
    assert session.labels is None
    assert not session.can("save")
    session.undo()
    assert session.labels is before
    session.remove_labels()
    session.segment().wait(WAIT)
    assert session.proposal is None
    assert session.labels is not None


def test_recipe_is_json_and_comes_back(session: Session, tmp_path: Path) -> None:
    session.parameters.probability = 0.25
    session.parameters.region = (slice(1, 3), slice(0, 10), slice(0, 10))
    session.parameters.checkpoint = tmp_path / "weights.pth"
    path = session.save_recipe(tmp_path / "session.json")
    assert json.loads(path.read_text())["schema"] == 1
    other = Session()
    other.load_recipe(path)
    assert other.parameters == session.parameters
    assert json.dumps(session.layer_metadata())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a recipe"),
        ('{"schema": 99, "parameters": {}}', "update napari-cellseg"),
        ('{"schema": 1, "parameters": {"colour": 1}}', "no parameter named 'colour'"),
        ('{"schema": 1, "parameters": {"region": [1, 2]}}', "region must be"),
        ('{"schema": 1, "parameters": {"channel": 1, "probability": 2}}', "between 0 and 1"),
    ],
)
def test_bad_recipe_changes_nothing(
    session: Session, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(text)
    before = session.parameters.as_dict()
    with pytest.raises(InputError, match=message):
        session.load_recipe(path)
    assert session.parameters.as_dict() == before


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, napari_cellseg.session as s; s.Session().close();"
        "heavy = {'torch', 'qtpy', 'napari', 'numba', 'skimage'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
