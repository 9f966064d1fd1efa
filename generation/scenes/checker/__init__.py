"""The picture checker: which colours, shapes, counts, positions and letters does this picture show?

It knows nothing of models: it measures pixels. Used by the simulated raters and to evaluate the demo models; it is in
no training loss and picks no sample. `pixels` finds the background, `blobs` what stands before it, `shapes` and
`lettering` say what that is, `reading` puts it together without a caption and `findings` holds it against one.
"""

from generation.scenes.checker.findings import Findings, ThingFound, check
from generation.scenes.checker.reading import Seen, SeenThing, read

__all__ = ["Findings", "Seen", "SeenThing", "ThingFound", "check", "read"]
