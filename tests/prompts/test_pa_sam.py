"""PA-SAM returns what upstream returns, and each known mistake is noticed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from napari_cellseg.errors import InputError, ModelError
from napari_cellseg.prompts import Embedding, load_predictor, pa_sam
from napari_cellseg.prompts.framing import Frame
from napari_cellseg.prompts.mask_tokens import MaskTokens
from prompts.conftest import PARITY, Fixture, small_state

TOLERANCE = 5e-3
FOLDER = "pasam_vit_b"
PROMPTS = {
    "box": ("box",),
    "points": ("points", "labels"),
    "box_points": ("box", "points", "labels"),
}


@pytest.fixture(scope="module")
def files(parity_weights: Callable[..., Path]) -> tuple[Path, Path]:
    return parity_weights(FOLDER, "sam"), parity_weights(FOLDER, "pa_decoder")


@pytest.fixture(scope="module")
def pa(files: tuple[Path, Path]) -> Fixture:
    """The fixture's plane by the default framing."""
    return _encoded(load_predictor("pa-sam", files, "cpu"))


@pytest.fixture(scope="module")
def padded(files: tuple[Path, Path]) -> Fixture:
    return _encoded(load_predictor("pa-sam", files, "cpu", framing="pad"))


def _encoded(predictor: Any) -> Fixture:
    inputs = dict(np.load(PARITY / FOLDER / "inputs.npz"))
    expected = dict(np.load(PARITY / FOLDER / "expected.npz"))
    return Fixture(predictor, predictor.encode(inputs["image"]), inputs, expected)


def answers(fixture: Fixture) -> dict[str, Any]:
    return {
        name: fixture.decode(False, **{part: getattr(fixture, part) for part in parts})
        for name, parts in PROMPTS.items()
    }


def off(fixture: Fixture, proposal: Any, case: str = "box") -> float:
    """How far a mask lies from the expected one."""
    low = fixture.expected[f"{fixture.predictor.framing}.{case}.low_res"]
    step = 256 // low.shape[-1]
    return float(np.abs(proposal.logits[:, ::step, ::step] - low).max())


def square(fixture: Fixture) -> Any:
    pixels = fixture.inputs["image"]
    return fixture.predictor.square(pixels, Frame(pixels.shape[:2], fixture.predictor.framing))


def small(fixture: Fixture) -> Any:
    large = square(fixture)[None]
    return F.interpolate(large, (256, 256), mode="bilinear", align_corners=False)[0]


@pytest.mark.parametrize("which", ["pa", "padded"])
def test_pa_sam(
    which: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixture: Fixture = request.getfixturevalue(which)
    framing, expected = fixture.predictor.framing, fixture.expected
    image = fixture.embedding.features["image"].numpy()
    assert np.abs(image[::16, ::4, ::4] - expected[f"{framing}.embedding_sub"]).max() < 1e-3
    guiding = fixture.embedding.features["guiding"].numpy()
    assert np.abs(guiding[::8, ::2, ::2] - expected[f"{framing}.guiding_sub"]).max() < 1e-4
    found = np.packbits(pa_sam.edges(small(fixture))[0].numpy().astype(bool), axis=-1)
    assert (found == expected[f"{framing}.edges_bits"]).all()
    chosen = []
    tokens = fixture.predictor._tokens
    right = tokens.sample
    monkeypatch.setattr(tokens, "sample", lambda *maps: chosen.append(right(*maps)) or chosen[-1])
    for index, (name, proposal) in enumerate(answers(fixture).items()):
        case = f"{framing}.{name}"
        most, least = chosen[index].split(4)
        assert sorted(most.tolist()) == expected[f"{case}.pos_points"].tolist()
        assert sorted(least.tolist()) == expected[f"{case}.neg_points"].tolist()
        assert off(fixture, proposal, name) < TOLERANCE
        assert np.abs(proposal.scores - expected[f"{case}.iou4"][:1]).max() < 1e-3
        assert (proposal.masks[0] == fixture.bits(f"{case}.mask_bits")).mean() > 0.999


def guided_by(fixture: Fixture, edges: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The answer to the box if the edges were these."""
    with monkeypatch.context() as patch:
        patch.setattr(pa_sam, "edges", edges)
        features = dict(fixture.embedding.features)
        with torch.inference_mode():
            features["guiding"] = fixture.predictor.guiding(square(fixture))
    return fixture.predictor.decode(
        replace(fixture.embedding, features=features), _box(fixture), False
    )


def _box(fixture: Fixture) -> Any:
    from napari_cellseg.prompts import Prompt

    return Prompt(box=fixture.box)


def test_the_edge_map_is_wrapped_zero_or_one_and_of_the_normalised_image(
    pa: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    right = pa_sam.edges

    def saturated(image: Any) -> Any:
        return right(image.clamp(min=0))

    def of_the_raw_image(image: Any) -> Any:
        pixels = cv2.resize(pa.inputs["image"], (256, 256), interpolation=cv2.INTER_LINEAR)
        return torch.from_numpy((cv2.Canny(pixels, 100, 200) > 0).astype(np.float32))[None]

    assert off(pa, guided_by(pa, right, monkeypatch)) < TOLERANCE
    assert off(pa, guided_by(pa, saturated, monkeypatch)) > 0.5
    assert off(pa, guided_by(pa, lambda image: 255 * right(image), monkeypatch)) > 0.5
    assert off(pa, guided_by(pa, of_the_raw_image, monkeypatch)) > 0.5


def test_edges_of_a_negative_value_wrap_around() -> None:
    image = torch.full((3, 32, 32), 1.9)
    image[:, :, 16:] = -1.1  # 1 and −1, which is 255
    found = pa_sam.edges(image)
    assert found.shape == (1, 32, 32)
    assert set(found.unique().tolist()) == {0, 1}
    assert not pa_sam.edges(image.abs()).any()  # 1 and 1


def test_points_are_sampled_in_evaluation_too(pa: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = torch.zeros(0, dtype=torch.int64)
    monkeypatch.setattr(pa.predictor._tokens, "sample", lambda *_: nothing)
    monkeypatch.setattr(pa.predictor._tokens, "sampled_labels", torch.zeros(0, 256))
    assert off(pa, pa.predictor.decode(pa.embedding, _box(pa))) > 0.5


def test_the_decoder_overrides_sams(pa: Fixture, files: tuple[Path, Path]) -> None:
    base = torch.load(files[0], weights_only=True)
    own = pa.predictor.parts.mask_decoder
    mine = own.state_dict()
    assert not torch.equal(mine["iou_token.weight"], base["mask_decoder.iou_token.weight"])
    kept = {key: value.clone() for key, value in mine.items()}
    theirs = {
        key.removeprefix("mask_decoder."): value
        for key, value in base.items()
        if key.startswith("mask_decoder.")
    }
    try:
        own.load_state_dict(theirs, strict=False)
        pa.predictor._tokens = pa.predictor.make_tokens()
        wrong = pa.predictor.decode(replace(pa.embedding), _box(pa))
    finally:
        own.load_state_dict(kept)
        pa.predictor._tokens = pa.predictor.make_tokens()
    assert off(pa, wrong) > 0.5


def test_sams_decoder_alone_is_another_answer(pa: Fixture) -> None:
    plain = MaskTokens(pa.predictor.parts.prompt_encoder, pa.predictor.parts.mask_decoder)
    ready = pa.predictor._ready(pa.embedding)
    sparse, _ = pa.predictor._embed(_box(pa), Frame((300, 400), "stretch"))
    logits = plain.decode(ready, sparse, slice(0, 1))[0].numpy()
    assert np.abs(logits - pa.expected["stretch.box.low_res"]).max() > 0.5


def test_what_pa_sam_takes(pa: Fixture, padded: Fixture) -> None:
    with pytest.raises(InputError, match="several masks"):
        pa.predictor.decode(pa.embedding, _box(pa), multimask=True)
    assert len(pa.decode(False, points=[(30, 40)])) == 1
    assert len(pa.predictor.decode(pa.embedding, _lone())) == 1
    with pytest.raises(InputError, match='framed by "pad"'):
        pa.predictor.decode(padded.embedding, _box(pa))


def _lone() -> Any:
    from napari_cellseg.prompts import Prompt

    return Prompt(points=[(30, 40)])


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Base, decoder and merged file of a small model, and a decoder of SAM's."""
    folder = tmp_path_factory.mktemp("pa")
    base = small_state()
    torch.manual_seed(9)
    decoder = dict(pa_sam.pa_mask_decoder().state_dict())
    merged = {
        key.replace("mask_decoder.", "mask_decoder_ori."): value for key, value in base.items()
    }
    merged |= {f"mask_decoder.{key}": value for key, value in decoder.items()}
    files = {}
    for name, state in {"base": base, "decoder": decoder, "merged": merged}.items():
        files[name] = folder / f"{name}.pth"
        torch.save({f"module.{k}": v for k, v in state.items()}, files[name])
    return files


def test_a_merged_file_is_the_two(small_files: dict[str, Path], plane: Any) -> None:
    two: Any = load_predictor("pa-sam", (small_files["base"], small_files["decoder"]), "cpu")
    merged: Any = load_predictor("pa-sam", small_files["merged"], "cpu")
    assert two.fingerprint != merged.fingerprint
    states = two.parts.state_dict(), merged.parts.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[1])
    embedding: Embedding = merged.encode(plane)
    assert embedding.features["guiding"].shape == (256, 64, 64)
    assert merged.decode(embedding, _lone()).masks.shape == (1, *plane.shape)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("decoder",), r"is a PA-SAM decoder.*pass checkpoint=\(base, decoder\)"),
        (("base",), r"is a SAM or MedSAM.*pass checkpoint=\(base, decoder\)"),
        (("decoder", "base"), r"is a PA-SAM decoder, but a SAM"),
        (("base", "base"), r"but a PA-SAM decoder was expected"),
    ],
)
def test_the_wrong_files(
    given: tuple[str, ...], message: str, small_files: dict[str, Path]
) -> None:
    with pytest.raises(ModelError, match=message):
        load_predictor("pa-sam", [small_files[name] for name in given], "cpu")


def test_a_missing_file_says_where_to_put_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from napari_cellseg.prompts import load

    monkeypatch.setattr(load, "model_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"pa_sam_vit_b\.pth"):
        load_predictor("pa-sam", device="cpu")
