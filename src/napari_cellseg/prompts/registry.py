"""Which predictors there are, and where their weights come from."""

from __future__ import annotations

from dataclasses import dataclass

from napari_cellseg.errors import InputError


@dataclass(frozen=True)
class PredictorInfo:
    """What a user must know to choose a predictor.

    Attributes
    ----------
    name : str
        Name by which `load_predictor` finds it.
    family : str
        Kind of model; files of one family are interchangeable.
    title : str
        What the window shows.
    licence : str
        Licence of the code and of the weights.
    file : str
        What its weights are called in the folder of downloaded models.
    page : str
        Where the model is described, and its weights are found by hand.
    citation : str
        What to cite when results are published.
    note : str
        For which images it is meant, in one sentence.
    url : str, optional
        Where the weights can be downloaded; None: the user brings the file.
    size : int, optional
        Of the file, in bytes.
    sha256 : str, optional
        Of the file; None where its authors publish none.
    """

    name: str
    family: str
    title: str
    licence: str
    file: str
    page: str
    citation: str
    note: str
    url: str | None = None
    size: int | None = None
    sha256: str | None = None


_SAM_FILES = "https://dl.fbaipublicfiles.com/segment_anything/"
_SAM_PAGE = "https://github.com/facebookresearch/segment-anything"
_SAM_CITATION = "Kirillov et al., Segment Anything, ICCV 2023"
_APACHE = "Apache-2.0 (code and weights)"

_PREDICTORS = (
    PredictorInfo(
        name="mobile-sam",
        family="mobile-sam",
        title="MobileSAM",
        licence=_APACHE,
        file="mobile_sam.pt",
        page="https://github.com/ChaoningZhang/MobileSAM",
        citation="Zhang et al., Faster Segment Anything, arXiv:2306.14289",
        note="Two seconds a plane without a GPU, where SAM takes half a minute.",
        url="https://github.com/ChaoningZhang/MobileSAM/raw/master/weights/mobile_sam.pt",
        size=40_728_226,
        sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    ),
    PredictorInfo(
        name="sam",
        family="sam",
        title="SAM base (vit_b)",
        licence=_APACHE,
        file="sam_vit_b_01ec64.pth",
        page=_SAM_PAGE,
        citation=_SAM_CITATION,
        note="Objects of any kind, trained on photographs; wants a GPU.",
        url=_SAM_FILES + "sam_vit_b_01ec64.pth",
        size=375_042_383,
        sha256="ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
    ),
    PredictorInfo(
        name="sam-l",
        family="sam",
        title="SAM large (vit_l)",
        licence=_APACHE,
        file="sam_vit_l_0b3195.pth",
        page=_SAM_PAGE,
        citation=_SAM_CITATION,
        note="As SAM base, with a better and slower encoder.",
        url=_SAM_FILES + "sam_vit_l_0b3195.pth",
        size=1_249_524_607,
        sha256="3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
    ),
    PredictorInfo(
        name="sam-h",
        family="sam",
        title="SAM huge (vit_h)",
        licence=_APACHE,
        file="sam_vit_h_4b8939.pth",
        page=_SAM_PAGE,
        citation=_SAM_CITATION,
        note="As SAM base, with the best and slowest encoder.",
        url=_SAM_FILES + "sam_vit_h_4b8939.pth",
        size=2_564_550_879,
        sha256="a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
    ),
    PredictorInfo(
        name="medsam",
        family="medsam",
        title="MedSAM",
        licence="Apache-2.0 (code); not stated (weights)",
        file="medsam_vit_b.pth",
        page="https://github.com/bowang-lab/MedSAM",
        citation="Ma et al., Segment anything in medical images, Nature Communications 15 (2024)",
        note="Boxes only; trained on medical images.",
    ),
    PredictorInfo(
        name="pa-sam",
        family="pa-sam",
        title="PA-SAM",
        licence="not stated (weights); the implementation here is independent",
        file="pa_sam_vit_b.pth",
        page="https://github.com/xzz2/pa-sam",
        citation="Xie et al., PA-SAM: Prompt Adapter SAM for High-Quality Image Segmentation, "
        "arXiv:2401.13051",
        note="SAM with a decoder that follows edges; needs SAM's file and its own decoder.",
    ),
)


def available_predictors() -> tuple[PredictorInfo, ...]:
    """Every predictor that `load_predictor` knows, the lightest first."""
    return _PREDICTORS


def predictor_info(name: str) -> PredictorInfo:
    """Look up a predictor.

    Raises
    ------
    InputError
        If the name is unknown.
    """
    for info in _PREDICTORS:
        if info.name == name:
            return info
    known = ", ".join(info.name for info in _PREDICTORS)
    raise InputError(f"The predictor {name!r} is unknown: choose one of {known}.")
