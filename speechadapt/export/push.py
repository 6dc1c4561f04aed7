"""Push: an adapter or an export to the Hugging Face Hub, after a look at what would go and at what is there."""

import contextlib
import dataclasses
import os
import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from huggingface_hub import HfApi, ModelCard, constants, get_token
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from speechadapt.adapt.adapter import FACTS_FILE, SIDE_FILES, WEIGHTS_FILE, read_adapter
from speechadapt.errors import ExportError, MisuseError
from speechadapt.export.export import CARD_FILE, PROOF_FILE, is_export, silent
from speechadapt.export.source import find_adapter
from speechadapt.files import read_object, sha256_of
from speechadapt.units import Seconds

TIMEOUT: Seconds = 10.0
TOKEN_VARIABLE = "HF_TOKEN"
ADAPTER_FILES = (CARD_FILE, FACTS_FILE, WEIGHTS_FILE, *SIDE_FILES)
WEIGHTS = (".safetensors", ".bin", ".onnx", ".onnx_data", ".pt", ".pth", ".h5", ".gguf", ".msgpack")
SECRETS = {
    "a Hugging Face token": re.compile(rb"\bhf_[A-Za-z0-9]{30,}"),
    "a private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "an AWS key": re.compile(rb"\bAKIA[0-9A-Z]{16}\b"),
    "a GitHub token": re.compile(rb"\b(?:ghp|gho|ghs)_[A-Za-z0-9]{36}|\bgithub_pat_[A-Za-z0-9_]{40,}"),
    "an API key": re.compile(rb"\bsk-[A-Za-z0-9_-]{32,}"),
}
TEXT_FILES = (".md", ".json", ".txt")
MOST_TEXT = 32 << 20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What would be uploaded: the folder, its kind (`adapter` or `export`), and its files with their bytes."""

    folder: Path
    kind: str
    files: dict[str, int]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What was uploaded, or would be.

    Attributes:
        parcel: the files.
        repository, revision: where to. endpoint: the Hub's address.
        private: whether a new repository is private.
        exists: whether the repository is there already; None where the Hub could not be asked.
        kept: files there that stay as they are.
        commit: address of the commit; None for a dry run.
    """

    parcel: Parcel
    repository: str
    revision: str
    endpoint: str
    private: bool
    exists: bool | None
    kept: tuple[str, ...]
    commit: str | None

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        row = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "parcel"}
        parcel = {"folder": str(self.parcel.folder), "kind": self.parcel.kind, "files": self.parcel.files}
        return parcel | row | {"kept": list(self.kept), "dry_run": self.commit is None}


def pack(given: Path) -> Parcel:
    """See what a folder would send, and that all of it may go.

    Args:
        given: a run (its adapter), an adapter, or an export.

    Raises:
        AdapterError, ExportError: it is none of them, not proven, altered, holds files that are not of it, a link, or a secret.
    """
    given = Path(given)
    if given.is_dir() and is_export(given):
        folder, kind, expected = given, "export", _export_files(given)
    else:
        folder, _ = find_adapter(given)
        read_adapter(folder)
        kind, expected = "adapter", set(ADAPTER_FILES)
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise ExportError(f"{path}: a link, which could point to anything. Replace it by the file itself.")
        if path.is_dir():
            continue
        if name not in expected:
            raise ExportError(f"{path}: no file of this {kind}, so it is not uploaded with it. Move it elsewhere.")
        files[name] = path.stat().st_size
        _no_secret(path)
    if CARD_FILE not in files:
        raise ExportError(f"{folder}: has no {CARD_FILE}, the model card. Export or train it again.")
    _check_card(folder / CARD_FILE)
    return Parcel(folder=folder, kind=kind, files=files)


def _export_files(folder: Path) -> set[str]:
    record = read_object(folder / PROOF_FILE)
    if record.get("passed") is not True:
        raise ExportError(f"{folder}: its proof failed ({PROOF_FILE}), so it is not uploaded. Export it again with another quantization.")
    listed = record.get("files")
    if not isinstance(listed, dict) or not listed:
        raise ExportError(f"{folder / PROOF_FILE}: names no files. Export it again.")
    for name, facts in listed.items():
        path = folder / name
        inside = path.resolve().is_relative_to(folder.resolve())
        if not inside or not path.is_file() or not isinstance(facts, dict) or sha256_of(path) != facts.get("sha256"):
            raise ExportError(f"{path}: missing or not the one that was proven. Export it again.")
    return {*listed, PROOF_FILE, CARD_FILE}


def _no_secret(path: Path) -> None:
    if path.suffix not in TEXT_FILES or path.stat().st_size > MOST_TEXT:
        return
    data = path.read_bytes()
    for what, pattern in SECRETS.items():
        if pattern.search(data):
            raise ExportError(f"{path}: holds what looks like {what}. Take it out; if it was ever published, revoke it.")


def _check_card(path: Path) -> None:
    """The block at the top as the Hub's own library reads it."""
    try:
        ModelCard(path.read_text(encoding="utf-8"))
    except Exception as error:  # of the YAML reader and of the card's fields
        raise ExportError(f"{path}: the block at its top cannot be read ({str(error).splitlines()[0]}). Correct it.") from error


def push_folder(
    given: Path,
    repository: str,
    *,
    private: bool = False,
    dry_run: bool = False,
    revision: str | None = None,
    token_variable: str = TOKEN_VARIABLE,
    endpoint: str | None = None,
    say: Callable[[str], None] = silent,
) -> Pushed:
    """Upload an adapter or an export, in one commit. A new repository is made where there is none.

    Args:
        given: a run (its adapter), an adapter, or an export.
        repository: `owner/name` on the Hub.
        private: of a new repository.
        dry_run: only say what would go and where to; the Hub is asked what it has, if it answers.
        revision: a branch, made where there is none; None is `main`.
        token_variable: the environment variable that holds a token with write access.
        endpoint: the Hub's address; None takes $HF_ENDPOINT, or huggingface.co.
        say: told of each step.

    Raises:
        MisuseError: not the id of a repository, no token or one that cannot be, or the repository is public and `private` was wished for.
        AdapterError, ExportError: see `pack`; also merged weights where an adapter lies, an adapter where weights lie, and what the Hub answers.
    """
    _check_id(repository)
    parcel = pack(given)
    token = _token(token_variable)
    if token is None and not dry_run:
        raise MisuseError(
            f"no token: the variable {token_variable} is empty. Put a token with write access into it; the Hub makes them in its settings."
        )
    address = endpoint or constants.ENDPOINT
    api = HfApi(endpoint=address, token=token or False, library_name="speechadapt")
    exists, there = _look(api, repository, revision, token_variable, private=private, dry_run=dry_run, say=say)
    _check_kinds(parcel, repository, there)
    told = Pushed(
        parcel=parcel,
        repository=repository,
        revision=revision or "main",
        endpoint=address,
        private=private,
        exists=exists,
        kept=tuple(name for name in there if name not in parcel.files and name != ".gitattributes"),
        commit=None,
    )
    if dry_run:
        return told
    say(f"uploading {len(parcel.files)} files to {address}/{repository}")
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        if revision not in (None, "main"):
            api.create_branch(repository, branch=str(revision), exist_ok=True)
        done = api.upload_folder(
            folder_path=str(parcel.folder),
            repo_id=repository,
            revision=revision,
            allow_patterns=[_literal(name) for name in parcel.files],
            commit_message=f"Upload {parcel.kind} by speechadapt",
        )
    except Exception as error:  # the Hub's client changed its HTTP library, and so its exceptions, between versions
        raise ExportError(_told(error, repository, address, token_variable)) from error
    return dataclasses.replace(told, commit=str(done.commit_url))


def _token(variable: str) -> str | None:
    """A token as it may be sent; what cannot be, the HTTP library would quote in its complaint."""
    token = os.environ.get(variable, "").strip() or (get_token() if variable == TOKEN_VARIABLE else None)
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise MisuseError(
            f"the variable {variable} holds no token: there is a space, a line break or a letter in it that tokens do not have. Copy it again."
        )
    return token


def _check_id(repository: str) -> None:
    try:
        validate_repo_id(repository)
        if repository.count("/") != 1:
            raise HFValidationError("it has no owner")
    except HFValidationError as error:
        raise MisuseError(f'"{repository}" is no id of a repository on the Hub ({str(error).splitlines()[0]}). Give OWNER/NAME.') from error


def _look(
    api: HfApi, repository: str, revision: str | None, token_variable: str, *, private: bool, dry_run: bool, say: Callable[[str], None]
) -> tuple[bool | None, tuple[str, ...]]:
    """Whether the repository is there, None where the Hub could not be asked, and its files in the default branch and in the wanted one."""
    if constants.HF_HUB_OFFLINE:
        if not dry_run:
            raise MisuseError("HF_HUB_OFFLINE is set, so nothing can be uploaded. Unset it.")
        say("the Hub is switched off by HF_HUB_OFFLINE, so what it has is not known")
        return None, ()
    try:
        found = api.model_info(repository, timeout=TIMEOUT)
        files = [file.rfilename for file in found.siblings or ()]
        if revision is not None:
            with contextlib.suppress(RevisionNotFoundError):
                files += [file.rfilename for file in api.model_info(repository, revision=revision, timeout=TIMEOUT).siblings or ()]
    except RepositoryNotFoundError:  # the Hub says so of private ones of others as well
        return False, ()
    except Exception as error:  # as in push_folder
        if not dry_run:
            raise ExportError(_told(error, repository, api.endpoint, token_variable)) from error
        say(f"the Hub could not be asked what it has ({_first_line(error)})")
        return None, ()
    if private and found.private is False:
        raise MisuseError(
            f"{repository} is public already, and --private only makes a new repository private. Make it private in its settings on the Hub, or "
            "leave --private out."
        )
    return True, tuple(dict.fromkeys(files))


def _check_kinds(parcel: Parcel, repository: str, there: tuple[str, ...]) -> None:
    adapter = [name for name in there if PurePosixPath(name).name in ("adapter_config.json", WEIGHTS_FILE)]
    weights = [name for name in there if name.endswith(WEIGHTS) and PurePosixPath(name).name != WEIGHTS_FILE]
    if parcel.kind == "export" and adapter:
        raise ExportError(
            f"{repository} holds an adapter ({adapter[0]}), and merged weights would bury it: programs take the one or the other. "
            "Push them to a repository of their own."
        )
    if parcel.kind == "adapter" and weights:
        raise ExportError(
            f"{repository} holds whole weights ({weights[0]}), and programs would not find an adapter beside them. "
            "Push it to a repository of its own."
        )
    others = [name for name in weights if name not in parcel.files]
    if parcel.kind == "export" and others:
        raise ExportError(f"{repository} holds weights of another kind ({others[0]}), which would stay beside these. Push to another repository.")


def _literal(name: str) -> str:
    """A name as a pattern that only it fits."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300] or type(error).__name__


def _told(error: BaseException, repository: str, address: str, token_variable: str) -> str:
    """What went wrong, in words: the status is that of the cause where the client wraps it."""
    cause: BaseException | None = error
    status = None
    while cause is not None and status is None:
        status = getattr(getattr(cause, "response", None), "status_code", None)
        cause = cause.__cause__
    if status == 401:
        return f"{address} does not accept the token of {token_variable} (401). Make a new one with write access, in the settings of the Hub."
    if status == 403:
        return f"the token of {token_variable} may not write to {repository} (403). Take one with write access, or a repository of your own."
    if status == 404:
        return f"{address} has no {repository}, or hides it from this token (404). Check owner, name and token."
    if status is not None:
        return f"{address} answered {status} ({_first_line(error)}). Nothing was committed; run the same command again."
    if isinstance(error, ValueError):
        return f"{address} refused what was sent ({' '.join(str(error).split())[:300]}). Nothing was committed; correct it."
    return f"{address} could not be reached or broke off ({_first_line(error)}). Nothing was committed; run the same command again."
