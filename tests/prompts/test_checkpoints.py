"""A model file fits, or one sentence says what was expected; nothing in it is ever run."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from napari_cellseg.errors import ModelError
from napari_cellseg.prompts import load_predictor
from napari_cellseg.prompts.checkpoints import (
    TITLES,
    fit,
    read_state,
    recognise,
    recognise_file,
    sha256,
)
from prompts.conftest import small_state

State = dict[str, Tensor]


def saved(folder: Path, content: Any, name: str = "model.pth", **how: Any) -> Path:
    file = folder / name
    torch.save(content, file, **how)
    return file


def wrapped(folder: Path, key: str) -> Path:
    return saved(folder, {key: small_state(), "optimizer": {"state": {}}, "epoch": 3})


FORMS: dict[str, Callable[[Path], Path]] = {
    "raw": lambda folder: saved(folder, small_state()),
    "old format": lambda folder: saved(folder, small_state(), _use_new_zipfile_serialization=False),
    "model": lambda folder: wrapped(folder, "model"),
    "state_dict": lambda folder: wrapped(folder, "state_dict"),
    "several GPUs": lambda folder: saved(
        folder, {"model": {f"module.{k}": v for k, v in small_state().items()}}
    ),
    "half": lambda folder: saved(folder, {k: v.half() for k, v in small_state().items()}),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_loads(form: str, tmp_path: Path) -> None:
    file = FORMS[form](tmp_path)
    assert recognise_file(file) == "sam"
    predictor: Any = load_predictor("sam", file, "cpu")
    assert predictor.fingerprint == sha256(file)
    tolerance = 2e-3 if form == "half" else 0
    expected = small_state()
    for name, value in predictor.parts.state_dict().items():
        assert value.dtype == torch.float32
        assert (value - expected[name]).abs().max() <= tolerance


def test_safetensors_load(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({k: v.contiguous() for k, v in small_state().items()}, file)
    assert load_predictor("sam", file, "cpu").name == "sam"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelError, match="cannot be read as safetensors"):
        load_predictor("sam", file, "cpu")


def test_weights_survive_their_file(tmp_path: Path) -> None:
    file = saved(tmp_path, small_state())
    predictor: Any = load_predictor("sam", file, "cpu")
    with file.open("r+b") as stream:
        stream.truncate(10)
    assert all(bool(v.isfinite().all()) for v in predictor.parts.state_dict().values())


def without(key: str) -> Callable[[State], None]:
    def change(state: State) -> None:
        del state[key]

    return change


def put(key: str, value: Tensor) -> Callable[[State], None]:
    def change(state: State) -> None:
        state[key] = value

    return change


FAULTS: dict[str, tuple[Callable[[State], None], str]] = {
    "missing": (
        without("mask_decoder.iou_token.weight"),
        r"1 tensors are missing, such as 'mask_decoder.iou_token.weight'",
    ),
    "unexpected": (put("mask_decoder.extra", torch.zeros(2)), r"unexpected.*mask_decoder.extra"),
    "shape": (
        put("mask_decoder.iou_token.weight", torch.zeros(1, 255)),
        r"has shape \(1, 255\), but \(1, 256\) was expected",
    ),
    "NaN": (
        put("mask_decoder.iou_token.weight", torch.full((1, 256), torch.nan)),
        r"NaN or infinite weights \(in 'mask_decoder.iou_token.weight'\)",
    ),
    "dtype": (
        put("mask_decoder.iou_token.weight", torch.zeros(1, 256, dtype=torch.int64)),
        r"holds torch.int64, but torch.float32 was expected",
    ),
    "other input": (
        put("image_encoder.pos_embed", torch.zeros(1, 32, 32, 16)),
        r"for 1024 × 1024 pixels was expected",
    ),
    "blocks": (without("image_encoder.blocks.0.attn.rel_pos_h"), "vit_b, vit_l or vit_h"),
    "heads": (
        put("image_encoder.blocks.0.attn.rel_pos_h", torch.zeros(27, 7)),
        "16 channels cannot be shared out among heads of 7",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_does_not_fit_is_named(fault: str, tmp_path: Path) -> None:
    change, message = FAULTS[fault]
    state = small_state()
    change(state)
    file = saved(tmp_path, state)
    with pytest.raises(ModelError, match=message) as caught:
        load_predictor("sam", file, "cpu")
    assert str(file) in str(caught.value)
    assert str(caught.value).count(". ") == 0


class _Runs:
    """What a hostile file holds."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def test_hostile_files_are_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    file = tmp_path / "model.pth"
    file.write_bytes(pickle.dumps(_Runs(mark)))
    with pytest.raises(ModelError, match="refused"):
        read_state(file)
    saved(tmp_path, {"model": small_state(), "args": _Runs(mark)})
    with pytest.raises(ModelError, match="refused"):
        read_state(file)
    assert not mark.exists()


@pytest.mark.parametrize("keep", [0, 3, 1000, 100_000, -10])
def test_truncated_files(keep: int, tmp_path: Path) -> None:
    file = saved(tmp_path, small_state())
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"model\.pth"):
        read_state(file)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n" + bytes(500), b"<html>not found</html>"])
def test_garbage(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "model.pth"
    file.write_bytes(content)
    with pytest.raises(ModelError, match="damaged"):
        read_state(file)


@pytest.mark.parametrize("content", [{}, [1, 2], {"model": {}}, {"model": {"a": 3}}, 5])
def test_files_without_weights(content: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no weights|no state dict"):
        read_state(saved(tmp_path, content))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.pth' does not exist"):
        load_predictor("sam", tmp_path / "nothing.pth", "cpu")
    with pytest.raises(ModelError, match="cannot be read"):
        sha256(tmp_path / "nothing.pth")


@pytest.mark.parametrize(
    ("key", "family"),
    [
        ("image_encoder.patch_embed.seq.0.c.weight", "mobile-sam"),
        ("image_encoder.patch_embed.proj.weight", "sam"),
        ("prompt_adapter.static_refined_token.weight", "pa-sam-decoder"),
        ("mask_decoder.prompt_adapter.static_refined_token.weight", "pa-sam"),
        ("mask_decoder.hf_token.weight", "sam-hq"),
        ("sam_mask_decoder.iou_token.weight", "sam2"),
        ("encoder.weight", "unknown"),
    ],
)
def test_families(key: str, family: str, tmp_path: Path) -> None:
    assert recognise([key, "other"]) == family
    file = saved(tmp_path, {key: torch.zeros(1)})
    for name, expected in (("sam", "a SAM or MedSAM"), ("mobile-sam", "a MobileSAM")):
        if name != family:
            with pytest.raises(ModelError, match=f"{TITLES[family][:9]}.*but {expected}"):
                load_predictor(name, file, "cpu")


def test_unused_keys_are_dropped_only_where_they_are_known() -> None:
    state = {"weight": torch.ones(1, 1), "bias": torch.ones(1), "head.weight": torch.ones(1)}
    build = lambda: torch.nn.Linear(1, 1)  # noqa: E731
    device = torch.device("cpu")
    with pytest.raises(ModelError, match=r"head\.weight"):
        fit(build, dict(state), "it", Path("it.pth"), device)
    fitted = fit(build, dict(state), "it", Path("it.pth"), device, ("head.",))
    assert not fitted.weight.requires_grad
    assert not fitted.training
