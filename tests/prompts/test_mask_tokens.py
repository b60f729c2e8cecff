"""The rearranged decoder gives what segment-anything's own gives, however many points there are."""

from typing import Any

import pytest
import torch

from napari_cellseg.prompts.mask_tokens import MaskTokens, rows_of
from napari_cellseg.prompts.sam_parts import SamParts, mask_decoder


@pytest.fixture(scope="module")
def parts() -> Any:
    torch.manual_seed(5)
    parts = SamParts(torch.nn.Identity(), mask_decoder()).eval().requires_grad_(False)
    for name, weight in parts.named_parameters():  # biases and norms count too
        if weight.ndim < 2:
            weight.add_(0.3 * torch.randn_like(weight))
        assert name
    return parts


@pytest.mark.parametrize("count", [0, 2, 7, 11, 12, 40])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("several", [False, True])
def test_the_answer_is_upstreams(parts: Any, count: int, masked: bool, several: bool) -> None:
    image, sparse = torch.randn(1, 256, 64, 64), torch.randn(1, count, 256)
    mask = torch.randn(1, 1, 256, 256) if masked else None
    dense = parts.prompt_encoder(None, None, mask)[1]
    logits, scores = parts.mask_decoder(
        image_embeddings=image,
        image_pe=parts.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=several,
    )
    tokens = MaskTokens(parts.prompt_encoder, parts.mask_decoder)
    ready = tokens.ready(image[0], dense[0] if masked else None)
    found = tokens.decode(ready, sparse[0], slice(1, None) if several else slice(0, 1))
    torch.testing.assert_close(found[0], logits[0], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(found[1], scores[0], atol=2e-5, rtol=1e-4)


def test_an_answer_leaves_what_is_ready_as_it_was(parts: Any) -> None:
    tokens = MaskTokens(parts.prompt_encoder, parts.mask_decoder)
    ready = tokens.ready(torch.randn(256, 64, 64))
    before = ready.image.clone()
    sparse = torch.randn(3, 256)
    first = tokens.decode(ready, sparse, slice(0, 1))[0]
    torch.testing.assert_close(tokens.decode(ready, sparse, slice(0, 1))[0], first)
    assert torch.equal(ready.image, before)


def test_rows_of() -> None:
    assert rows_of(torch.arange(24).view(2, 3, 4))[5].tolist() == [5, 17]
