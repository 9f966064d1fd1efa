"""`python -m generation.hub_download OWNER/NAME COMMIT FOLDER ROOM`: one pinned commit of a hub repository, no code.

Only configuration, tokenizers and safetensors weights of a pipeline's components are asked for. The hub's own sha256 of
each weight file is compared with what came.
"""

import re
import shutil
import sys
from pathlib import Path, PurePosixPath
from typing import Any, Final

from generation.model_folders import DECIDING_SUFFIXES, hash_file

_VARIANT: Final = re.compile(r"\.(fp16|fp32|bf16|non_ema|ema)(-[0-9]+-of-[0-9]+)?\.safetensors(\.index\.[a-z0-9]+)?$")


def is_wanted(name: str) -> bool:
    """Whether a file of a repository belongs to the pipeline: weights at the top are a second copy in one file."""
    path = PurePosixPath(name)
    if path.suffix.lower() not in DECIDING_SUFFIXES or _VARIANT.search(path.name):
        return False
    return not (path.suffix.lower() == ".safetensors" and len(path.parts) == 1 and "lora" not in path.name.lower())


def download(repository: str, commit: str, folder: Path, *, room: int) -> None:
    """Get the files of a commit into a folder; SystemExit with a sentence where that fails."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        info = HfApi().model_info(repository, revision=commit, files_metadata=True)
        if info.sha != commit:
            raise SystemExit(f"the hub answers with the commit {info.sha}")
        files: dict[str, Any] = {file.rfilename: file for file in info.siblings or [] if is_wanted(file.rfilename)}
        if (size := sum(file.size or 0 for file in files.values())) > room:
            raise SystemExit(f"its {size / 1e9:.1f} GB do not fit on this disk")
        snapshot_download(repository, revision=commit, allow_patterns=list(files), local_dir=folder)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise SystemExit(f"{type(error).__name__}: {str(error).strip().splitlines()[0]}") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)
    for name, file in files.items():
        if file.lfs is not None and hash_file(folder / name) != file.lfs.sha256:
            raise SystemExit(f"{name} is not what the hub says it is (sha256); try again")


if __name__ == "__main__":
    download(sys.argv[1], sys.argv[2], Path(sys.argv[3]), room=int(sys.argv[4]))
