import pytest
import torch

from napari_cellseg.networks.flow_unet import FlowUNet, fold_batch_norm


@pytest.fixture
def model() -> FlowUNet:
    torch.manual_seed(0)
    model = FlowUNet((8, 12, 16))
    model(torch.rand(4, 1, 32, 32))  # moves the running statistics away from 0 and 1
    return model.eval()


def test_output_has_three_components_at_full_resolution(model: FlowUNet) -> None:
    assert model.stride == 8
    assert model(torch.rand(2, 1, 40, 24)).shape == (2, 3, 40, 24)


def test_folding_changes_nothing(model: FlowUNet) -> None:
    planes = torch.rand(2, 1, 32, 32)
    with torch.no_grad():
        folded = fold_batch_norm(model)(planes)
        torch.testing.assert_close(folded, model(planes), atol=1e-5, rtol=1e-4)
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules())


def test_the_shipped_shape_is_small() -> None:
    assert sum(p.numel() for p in FlowUNet().parameters()) < 2.5e6
