"""Fields on disk: what was written is read, in any part; what is not ours is refused."""

import json
import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_cellseg.errors import InputError, StorageError
from napari_cellseg.flows import FlowField, instances
from napari_cellseg.flows.field_store import FieldStore


def random_field(shape, seed=0, time=False, spacing=(2.0, 1.0, 1.0)):
    rng = np.random.default_rng(seed)
    ndim = len(shape) - time
    flow = rng.uniform(-1, 1, (*shape[:time], ndim, *shape[time:])).astype(np.float32)
    logits = rng.normal(0, 4, shape).astype(np.float32)
    return FlowField(flow, logits, spacing)


@st.composite
def regions(draw, shape):
    parts = []
    for n in shape:
        start = draw(st.integers(0, n - 1))
        parts.append(slice(start, draw(st.integers(start + 1, n))))
    return tuple(parts)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_part_reads_what_was_written(data, tmp_path_factory):
    ndim = data.draw(st.sampled_from((2, 3)))
    time = data.draw(st.booleans())
    shape = tuple(data.draw(st.integers(1, 9)) for _ in range(ndim + time))
    precision = data.draw(st.sampled_from(("float16", "int8")))
    field = random_field(shape, data.draw(st.integers(0, 99)), time)
    folder = tmp_path_factory.mktemp("store")
    store = FieldStore.create(
        folder / "field", shape, field.spacing, time=time, precision=precision,
        chunks=[data.draw(st.integers(1, 5)) for _ in range(ndim)],
    )  # fmt: skip
    t = data.draw(st.integers(0, store.n_times - 1))
    whole = tuple(slice(0, n) for n in store.spatial_shape)
    part = data.draw(regions(store.spatial_shape))
    frame = field.frame(t)
    store.write(whole, frame.flow, frame.logits, t=t)
    store.write(part, frame.flow[(slice(None), *part)], frame.logits[part], t=t)
    flow, logits = FieldStore.open(store.path).read(part, t)
    far = 0 if precision == "int8" else 1e-3
    wanted_flow, wanted = frame.flow[(slice(None), *part)], frame.logits[part]
    step = (0.5 / 127 + 5e-4, 1 / 32) if precision == "int8" else (5e-4, 0.02)
    assert flow.dtype == logits.dtype == np.float32
    np.testing.assert_allclose(flow, wanted_flow, atol=step[0], rtol=far)
    np.testing.assert_allclose(logits, np.clip(wanted, -20, 20).clip(-7.9375, 7.9375)
                               if precision == "int8" else wanted, atol=step[1])  # fmt: skip
    loaded = store.load()
    at = (t,) if time else ()
    np.testing.assert_array_equal(loaded.flow[(*at, slice(None), *part)], flow)
    np.testing.assert_array_equal(loaded.logits[(*at, *part)], logits)
    assert (loaded.has_time, loaded.spacing) == (time, field.spacing)
    shutil.rmtree(folder)


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_saving_and_opening_a_field(tmp_path, precision):
    field = random_field((70, 40, 33))
    field.save(tmp_path / "f", precision)
    back = FlowField.open(tmp_path / "f")
    assert back.spacing == field.spacing
    again = tmp_path / "again"
    back.save(again, precision)  # what is stored once is stored without loss ever after
    np.testing.assert_array_equal(FlowField.open(again).flow, back.flow)
    np.testing.assert_array_equal(FlowField.open(again).logits, back.logits)


def test_int8_takes_half_the_bytes_and_changes_hardly_a_voxel(tmp_path):
    from napari_cellseg.flows import fused_label_flows

    z, y, x = np.indices((24, 48, 48))
    labels = np.zeros((24, 48, 48), np.uint32)
    for index, (cy, cx) in enumerate(((12, 12), (12, 35), (35, 12), (35, 35)), 1):
        labels[(2 * (z - 12)) ** 2 + (y - cy) ** 2 + (x - cx) ** 2 < 100] = index
    flow = fused_label_flows(labels, (2, 1, 1))
    rng = np.random.default_rng(0)
    noisy = np.clip(flow + rng.normal(0, 0.2, flow.shape), -1, 1).astype(np.float32)
    logits = (8.0 * (labels > 0) - 4 + rng.normal(0, 1, labels.shape)).astype(np.float32)
    field = FlowField(noisy, logits, (2, 1, 1))
    sizes = {}
    found = {}
    for precision in ("float16", "int8"):
        field.save(tmp_path / precision, precision)
        files = (tmp_path / precision).rglob("*")
        sizes[precision] = sum(file.stat().st_size for file in files if file.is_file())
        found[precision] = instances(FlowField.open(tmp_path / precision))
    assert sizes["int8"] < 0.6 * sizes["float16"]
    assert found["int8"].max() == found["float16"].max() == 4
    differing = np.mean(found["int8"] != found["float16"]) / np.mean(found["float16"] > 0)
    assert differing < 0.02


def test_what_was_never_written_is_background(tmp_path):
    store = FieldStore.create(tmp_path / "f", (8, 8, 8), (1, 1, 1), chunks=(4, 4, 4))
    part = (slice(0, 4),) * 3
    store.write(part, np.zeros((3, 4, 4, 4)), np.full((4, 4, 4), 5.0))
    labels = instances(store.load(), min_size=1)
    assert labels[part].all()
    assert not labels[4:].any()


def test_disagreement_recipe_and_stitching_are_kept(tmp_path):
    store = FieldStore.create(
        tmp_path / "f", (4, 5, 6), (1, 1, 1), disagreement=True, stitched=True, recipe={"a": [1]}
    )
    kept = np.arange(120, dtype=np.uint8).reshape(4, 5, 6)
    whole = (slice(0, 4), slice(0, 5), slice(0, 6))
    store.write(whole, np.zeros((3, 4, 5, 6)), np.zeros((4, 5, 6)), kept)
    back = pickle.loads(pickle.dumps(FieldStore.open(store.path)))
    assert (back.recipe, back.stitched) == ({"a": [1]}, True)
    np.testing.assert_array_equal(back.read_disagreement(whole), kept)
    field = back.load()
    assert field.stitched
    np.testing.assert_array_equal(field.disagreement, kept)
    field.save(tmp_path / "again")
    np.testing.assert_array_equal(FlowField.open(tmp_path / "again").disagreement, kept)


@pytest.mark.parametrize(
    "region",
    [
        (slice(0, 4), slice(0, 4)),
        (slice(0, 4), slice(0, 4), slice(0, 9)),
        (slice(-2, 4), slice(0, 4), slice(0, 4)),
        (slice(2, 2), slice(0, 4), slice(0, 4)),
        (slice(0, 4, 2), slice(0, 4), slice(0, 4)),
    ],
)
def test_parts_outside_are_refused(tmp_path, region):
    store = FieldStore.create(tmp_path / "f", (8, 8, 8), (1, 1, 1))
    with pytest.raises(InputError, match="does not lie"):
        store.read(region)
    with pytest.raises(InputError, match="no frame 1"):
        store.read((slice(0, 4),) * 3, t=1)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": (8, 8)}, "three numbers|not"),
        ({"chunks": (4, 4)}, "chunks"),
        ({"precision": "float64"}, "precision"),
        ({"spacing": (0, 1, 1)}, "spacing"),
    ],
)
def test_impossible_stores_are_refused(tmp_path, changed, message):
    asked = {"shape": (8, 8, 8), "spacing": (1, 1, 1)} | changed
    if changed == {"shape": (8, 8)}:
        asked["shape"] = (8,)
    with pytest.raises(InputError, match=message):
        FieldStore.create(tmp_path / "f", **asked)
    assert not list(tmp_path.iterdir())


def test_values_that_are_not_finite_and_other_shapes_are_refused(tmp_path):
    store = FieldStore.create(tmp_path / "f", (4, 4, 4), (1, 1, 1))
    part = (slice(0, 4),) * 3
    with pytest.raises(InputError, match="NaN"):
        store.write(part, np.full((3, 4, 4, 4), np.nan), np.zeros((4, 4, 4)))
    with pytest.raises(InputError, match="do not fit"):
        store.write(part, np.zeros((3, 4, 4, 3)), np.zeros((4, 4, 4)))


def test_only_a_field_is_replaced_and_only_when_asked(tmp_path):
    field = random_field((4, 5, 6))
    field.save(tmp_path / "f")
    with pytest.raises(StorageError, match="exists"):
        field.save(tmp_path / "f")
    field.save(tmp_path / "f", "int8", overwrite=True)
    assert FieldStore.open(tmp_path / "f").precision == "int8"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("dear diary")
    with pytest.raises(StorageError, match="is no flow field"):
        field.save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "dear diary"


def test_foreign_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        FieldStore.open(tmp_path / "nothing")
    with pytest.raises(InputError, match="is no flow field"):
        FieldStore.open(tmp_path)
    import zarr

    zarr.create_array(tmp_path / "array.zarr", shape=(3, 3), dtype="u1")
    with pytest.raises(InputError, match="is no flow field"):
        FieldStore.open(tmp_path / "array.zarr")


def damage_version(folder):
    document = json.loads((folder / "zarr.json").read_text())
    document["attributes"]["napari-cellseg-field"]["version"] = 99
    (folder / "zarr.json").write_text(json.dumps(document))


def damage_shape(folder):
    document = json.loads((folder / "zarr.json").read_text())
    document["attributes"]["napari-cellseg-field"]["shape"] = [4, 5, 7]
    (folder / "zarr.json").write_text(json.dumps(document))


def damage_attributes(folder):
    document = json.loads((folder / "zarr.json").read_text())
    document["attributes"]["napari-cellseg-field"] = "nonsense"
    (folder / "zarr.json").write_text(json.dumps(document))


def damage(name, value):
    def change(folder):
        document = json.loads((folder / "zarr.json").read_text())
        document["attributes"]["napari-cellseg-field"][name] = value
        (folder / "zarr.json").write_text(json.dumps(document))

    return change


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage("spacing", [0, 1, 1]), "damaged .*greater than zero"),
        (damage("spacing", [float("nan"), 1, 1]), "damaged .*finite"),
        (damage("spacing", [1, -1, 1]), "damaged .*greater than zero"),
        (damage("shape", [4.0, 5.0, 6.0]), "damaged .*whole numbers"),
        (damage_version, "version 99"),
        (damage_shape, "damaged"),
        (damage_attributes, "damaged"),
        (lambda folder: shutil.rmtree(folder / "flow"), "damaged"),
        (lambda folder: (folder / "logits" / "zarr.json").write_text("{"), "damaged"),
    ],
)
def test_damaged_stores_are_told(tmp_path, damage, message):
    random_field((4, 5, 6)).save(tmp_path / "f")
    damage(tmp_path / "f")
    with pytest.raises(StorageError, match=message):
        FieldStore.open(tmp_path / "f")


def test_a_damaged_chunk_is_told_when_it_is_read(tmp_path):
    random_field((4, 5, 6)).save(tmp_path / "f")
    chunk = next(file for file in (tmp_path / "f" / "flow" / "c").rglob("*") if file.is_file())
    chunk.write_bytes(b"not a chunk")
    store = FieldStore.open(tmp_path / "f")
    with pytest.raises(StorageError, match="damaged"):
        store.read((slice(0, 4), slice(0, 5), slice(0, 6)))


@pytest.mark.parametrize("name", ["flow", "logits"])
def test_stored_values_that_are_not_finite_are_told_when_they_are_read(tmp_path, name):
    import zarr

    random_field((4, 5, 6)).save(tmp_path / "f")
    zarr.open_array(tmp_path / "f" / name, mode="r+")[..., 2, 3] = np.nan
    store = FieldStore.open(tmp_path / "f")
    with pytest.raises(StorageError, match=f"damaged .*NaN or infinite values in {name}"):
        store.read((slice(0, 4), slice(0, 5), slice(0, 6)))
