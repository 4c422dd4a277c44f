"""Which CRDs of Argo the control plane gets: small ones of our own, or those that Argo ships.

LOCKKEEPER_ARGO_CRDS=minimal or full takes Argo's own from the corpus (`LOCKKEEPER_CORPUS`, or the folder
beside the project), where it is present.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final

from tests.e2e.building import ROOT

OUR_OWN: Final = ROOT / "tests" / "e2e" / "crds"
CORPUS: Final = ROOT.parent / "shared" / "corpus" / "argo-4.1.2"


class Shipped(StrEnum):
    """The two forms in which Argo ships its CRDs."""

    MINIMAL = "minimal"
    FULL = "full"


class CorpusIsMissingError(Exception):
    """Argo's own CRDs were asked for and are not on this machine."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.folder = folder

    def __str__(self) -> str:
        return f"LOCKKEEPER_ARGO_CRDS asks for Argo's own CRDs, and there is no folder {self.folder}"


def argo_crds(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the CRDs that this run uses.

    Raises:
        CorpusIsMissingError: Argo's own are asked for and not here.
        ValueError: LOCKKEEPER_ARGO_CRDS is neither minimal nor full.
    """
    asked = environment.get("LOCKKEEPER_ARGO_CRDS")
    if not asked:
        return OUR_OWN
    corpus = environment.get("LOCKKEEPER_CORPUS")
    folder = (Path(corpus) if corpus else CORPUS) / "crds" / Shipped(asked)
    if not folder.is_dir():
        raise CorpusIsMissingError(folder)
    return folder
