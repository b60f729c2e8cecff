"""A field is saved and opened again, and the sliders act on it without the network."""

import numpy as np
import pytest

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.flows import FlowField, label_flows
from napari_cellseg.session import Session

WAIT = 120  # kernels may have to be compiled first


@pytest.fixture
def truth():
    labels = np.zeros((6, 20, 30), np.uint32)
    labels[1:5, 2:9, 2:9] = 1
    labels[1:5, 10:18, 4:12] = 2
    labels[1:5, 4:12, 18:27] = 3
    return labels


@pytest.fixture
def field(truth):
    spacing = (2.0, 0.5, 0.5)
    logits = np.where(truth == 3, 0.5, 4.0) * np.where(truth > 0, 1, -1)
    return FlowField(label_flows(truth, spacing), logits.astype(np.float32), spacing)


def test_a_saved_field_gives_the_sliders_back(session, inference, field, truth, image, tmp_path):
    field.save(tmp_path / "a.field")
    session.open_field(tmp_path / "a.field").wait(WAIT)
    assert session.proposal.region is None
    np.testing.assert_array_equal(session.proposal.labels > 0, truth > 0)
    assert len(np.unique(session.proposal.labels)) == 4
    session.apply().wait(WAIT)
    assert session.labels is not None
    session.parameters.probability = 0.9
    session.relabel().wait(WAIT)
    assert len(np.unique(session.proposal.labels)) == 3
    session.save_field(tmp_path / "b.field").wait(WAIT)
    assert session.document.meta["field"] == str(tmp_path / "b.field")
    other = Session(worker=inference)
    other.use_volume(image, axes="zyx", spacing=(2.0, 0.5, 0.5))
    other.open_field(tmp_path / "b.field").wait(WAIT)
    assert other.parameters.probability == 0.9
    np.testing.assert_array_equal(other.proposal.labels, session.proposal.labels)
    other.close()
    with pytest.raises(StorageError, match="exists"):
        session.save_field(tmp_path / "b.field").wait(WAIT)


def test_the_field_of_a_part_goes_back_to_its_part(session, field, image, tmp_path):
    from napari_cellseg.flows.field_store import save_field

    box = [[1, 5], [0, 20], [0, 30]]
    part = FlowField(field.flow[:, 1:5], field.logits[1:5], field.spacing)
    window = {"region": box, "shape": [6, 20, 30], "image": "x"}
    save_field(part, tmp_path / "part.field", recipe={"window": window, "probability": 0.5})
    session.open_field(tmp_path / "part.field").wait(WAIT)
    assert session.proposal.offset == (1, 0, 0)
    assert session.proposal.labels.shape == (4, 20, 30)
    session.save_field(tmp_path / "again.field").wait(WAIT)
    session.use_volume(image[:5], axes="zyx", spacing=(2.0, 0.5, 0.5))
    with pytest.raises(InputError, match="open the image that it was made from"):
        session.open_field(tmp_path / "again.field").wait(WAIT)
    assert session.proposal is None


def test_what_is_no_field_is_told_so(session, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        session.open_field(tmp_path / "empty").wait(WAIT)
    assert "first" in session.can("save_field").reason
    with pytest.raises(InputError, match="first"):
        session.save_field(tmp_path / "x.field")


def test_moves_of_a_slider_do_not_queue_up(session, engine, monkeypatch):
    import threading

    import fake_engine

    session.segment().wait(WAIT)
    calls, begun, gate = [], threading.Event(), threading.Event()
    relabel = fake_engine.FakeSegmentation.relabel

    def slow(self, probability=None, **more):
        calls.append(probability)
        begun.set()
        assert gate.wait(WAIT)
        return relabel(self, probability, **more)

    monkeypatch.setattr(fake_engine.FakeSegmentation, "relabel", slow)
    for step in range(30):
        session.parameters.probability = 0.2 + step / 100
        job = session.relabel()
        assert begun.wait(WAIT)
    gate.set()
    job.wait(WAIT)
    assert calls == [0.2, 0.49], "the one that ran, and the newest"
    assert session.proposal.settings["probability"] == 0.49
