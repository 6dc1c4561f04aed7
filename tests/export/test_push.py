"""Pushing to a Hub that runs on this machine: what goes there, what is refused, and what its answers come to."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_hub import TOKEN, FakeHub
from huggingface_hub import constants
from tiny_ctc import edit_json

from speechadapt.errors import AdapterError, ExportError, MisuseError
from speechadapt.export.export import export_adapter
from speechadapt.export.push import pack, push_folder

Folders = Callable[[str], Path]

# 2026-11: huggingface_hub 2.4 gives httpx the body of an LFS upload in a way that httpx calls deprecated; nothing we call
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    made = FakeHub()
    yield made
    made.close()


@pytest.fixture
def adapter(whisper_folder: Folders, make_adapter: Callable[..., Path]) -> Path:
    return make_adapter(whisper_folder("english"))


@pytest.fixture
def exported(adapter: Path, clips: Path, tmp_path: Path) -> Path:
    return export_adapter(adapter, tmp_path / "export", target="merged", clips=clips, limit=1).folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("private", [True, False])
def test_an_adapter_arrives_whole(private: bool, hub: FakeHub, adapter: Path) -> None:
    done = push_folder(adapter.parent / "adapter", "me/mine", private=private, endpoint=hub.address)
    assert hub.repositories == {"me/mine": files_of(adapter)}
    assert hub.private == {"me/mine": private}
    assert done.commit == f"{hub.address}/me/mine/commit/{'b' * 40}"
    assert done.parcel.kind == "adapter"
    assert {token for _, path, token in hub.requests if path.startswith("/api/")} == {TOKEN}
    again = push_folder(adapter, "me/mine", endpoint=hub.address, revision="second")
    assert (again.exists, again.revision) == (True, "second")
    assert hub.branches == ["second"]


def test_an_export_goes_to_a_repository_of_its_own(hub: FakeHub, adapter: Path, exported: Path) -> None:
    push_folder(exported, "me/merged", endpoint=hub.address)
    assert hub.repositories["me/merged"] == files_of(exported)
    push_folder(adapter, "me/adapter", endpoint=hub.address)
    before = {name: dict(files) for name, files in hub.repositories.items()}
    with pytest.raises(ExportError, match=r"me/adapter holds an adapter \(adapter_(config|model).*\), and merged weights would bury it"):
        push_folder(exported, "me/adapter", endpoint=hub.address)
    with pytest.raises(ExportError, match=r"me/merged holds whole weights \(model.safetensors\), and programs would not find an adapter beside them"):
        push_folder(adapter, "me/merged", endpoint=hub.address)
    hub.repositories["me/merged"]["old.onnx"] = b""
    with pytest.raises(ExportError, match=r"me/merged holds weights of another kind \(old.onnx\), which would stay beside these"):
        push_folder(exported, "me/merged", endpoint=hub.address, dry_run=True)
    del hub.repositories["me/merged"]["old.onnx"]
    assert hub.repositories == before


def test_a_dry_run_sends_nothing(monkeypatch: pytest.MonkeyPatch, hub: FakeHub, adapter: Path) -> None:
    monkeypatch.delenv("HF_TOKEN")
    told = push_folder(adapter, "me/mine", dry_run=True, endpoint=hub.address)
    assert told.parcel.files == {path.name: path.stat().st_size for path in adapter.iterdir()}
    assert (told.exists, told.commit, told.endpoint) == (False, None, hub.address)
    assert {method for method, _, _ in hub.requests} == {"GET"}
    hub.repositories["me/mine"] = {"notes.txt": b"", ".gitattributes": b""}
    assert push_folder(adapter, "me/mine", dry_run=True, endpoint=hub.address).kept == ("notes.txt",)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_without_a_network(monkeypatch: pytest.MonkeyPatch, hub: FakeHub, adapter: Path) -> None:
    nowhere, said = f"http://127.0.0.1:{free_port()}", []
    told = push_folder(adapter, "me/mine", dry_run=True, endpoint=nowhere, say=said.append)
    assert told.exists is None
    assert said[0].startswith("the Hub could not be asked what it has (")
    with pytest.raises(ExportError, match=r"could not be reached or broke off \(.*\). Nothing was committed; run the same command again."):
        push_folder(adapter, "me/mine", endpoint=nowhere)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MisuseError, match=r"HF_HUB_OFFLINE is set, so nothing can be uploaded. Unset it."):
        push_folder(adapter, "me/mine", endpoint=hub.address)
    assert push_folder(adapter, "me/mine", endpoint=hub.address, dry_run=True).exists is None
    assert not hub.requests


@pytest.mark.parametrize(
    ("where", "status", "told"),
    [
        ("/api/repos/create", 401, r"does not accept the token of HF_TOKEN \(401\)"),
        ("/api/models/me/mine", 401, r"does not accept the token of HF_TOKEN \(401\)"),
        ("/api/repos/create", 403, r"the token of HF_TOKEN may not write to me/mine \(403\)"),
        ("preupload", 404, r"has no me/mine, or hides it from this token \(404\)"),
        ("commit", 400, r"answered 400 \(.*\). Nothing was committed"),
    ],
)
def test_what_the_hub_refuses(where: str, status: int, told: str, hub: FakeHub, adapter: Path) -> None:
    if where.startswith("/api/models"):
        hub.repositories["me/mine"] = {}
    hub.failing[where] = status
    with pytest.raises(ExportError, match=told) as raised:
        push_folder(adapter, "me/mine", endpoint=hub.address)
    assert TOKEN not in str(raised.value)
    assert not hub.repositories.get("me/mine")


def test_no_token_no_name(monkeypatch: pytest.MonkeyPatch, hub: FakeHub, adapter: Path) -> None:
    with pytest.raises(MisuseError, match="no token: the variable OTHER is empty"):
        push_folder(adapter, "me/mine", endpoint=hub.address, token_variable="OTHER")
    for name in ("mine", "a/b/c", "me/mi ne", "../up"):
        with pytest.raises(MisuseError, match=r"is no id of a repository on the Hub"):
            push_folder(adapter, name, endpoint=hub.address)
    assert not hub.requests
    monkeypatch.setenv("OTHER", "another-token")
    push_folder(adapter, "me/mine", endpoint=hub.address, token_variable="OTHER")
    assert {token for _, path, token in hub.requests if path.startswith("/api/")} == {"another-token"}


@pytest.mark.parametrize(
    ("token", "sent"), [(f"{TOKEN}\n", True), (f" {TOKEN}", True), ("hub to-ken", False), ("hub\ntoken", False), ("hübtoken", False)]
)
def test_a_token_copied_badly(token: str, sent: bool, monkeypatch: pytest.MonkeyPatch, hub: FakeHub, adapter: Path) -> None:
    """The HTTP library would quote a header that it cannot send, token and all."""
    monkeypatch.setenv("OTHER", token)
    said: list[str] = []
    if sent:
        push_folder(adapter, "me/mine", endpoint=hub.address, token_variable="OTHER", say=said.append)
        assert {given for _, path, given in hub.requests if path.startswith("/api/")} == {TOKEN}
        assert not any(TOKEN in line for line in said)
        return
    for dry_run in (True, False):
        with pytest.raises(
            MisuseError, match=r"^the variable OTHER holds no token: there is a space, a line break or a letter in it that tokens do not"
        ) as told:
            push_folder(adapter, "me/mine", endpoint=hub.address, token_variable="OTHER", dry_run=dry_run, say=said.append)
        assert token not in str(told.value)
    assert not hub.requests
    assert not said


def test_the_variable_that_was_named_is_named(monkeypatch: pytest.MonkeyPatch, hub: FakeHub, adapter: Path) -> None:
    monkeypatch.setenv("OTHER", "another-token")
    hub.failing["/api/models/me/mine"] = 403
    with pytest.raises(ExportError, match=r"^the token of OTHER may not write to me/mine \(403\)"):
        push_folder(adapter, "me/mine", endpoint=hub.address, token_variable="OTHER")


def test_private_is_not_sent_to_where_all_can_see_it(hub: FakeHub, adapter: Path) -> None:
    hub.repositories["me/mine"] = {}
    for dry_run in (True, False):
        with pytest.raises(MisuseError, match=r"me/mine is public already, and --private only makes a new repository private"):
            push_folder(adapter, "me/mine", private=True, dry_run=dry_run, endpoint=hub.address)
    assert hub.repositories == {"me/mine": {}}
    hub.private["me/mine"] = True
    push_folder(adapter, "me/mine", private=True, endpoint=hub.address)
    assert hub.repositories["me/mine"] == files_of(adapter)


# What is never sent


def test_files_that_are_not_of_it(adapter: Path, exported: Path, tmp_path: Path) -> None:
    (exported / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"notes.txt: no file of this export, so it is not uploaded with it"):
        pack(exported)
    (exported / "notes.txt").unlink()
    (adapter / "checkpoint.bin").write_bytes(b"x")
    with pytest.raises(ExportError, match=r"checkpoint.bin: no file of this adapter"):
        pack(adapter)
    (adapter / "checkpoint.bin").unlink()
    (adapter / "vocab.json").symlink_to("/etc/hostname")
    with pytest.raises(ExportError, match=r"vocab.json: a link, which could point to anything"):
        pack(adapter)
    (adapter / "vocab.json").unlink()
    (adapter / "README.md").unlink()
    with pytest.raises(ExportError, match=r"has no README.md, the model card"):
        pack(adapter)
    with pytest.raises(AdapterError, match="neither a run"):
        pack(tmp_path)


@pytest.mark.parametrize(
    ("secret", "what"),
    [
        ("hf_" + "a" * 34, "a Hugging Face token"),
        ("-----BEGIN RSA PRIVATE KEY-----", "a private key"),
        ("AKIA" + "A" * 16, "an AWS key"),
        ("ghp_" + "a" * 36, "a GitHub token"),
        ("sk-" + "a" * 40, "an API key"),
    ],
)
def test_secrets(secret: str, what: str, adapter: Path) -> None:
    card = adapter / "README.md"
    card.write_text(card.read_text() + f"\nMy key is {secret}\n")
    with pytest.raises(ExportError, match=rf"README.md: holds what looks like {what}. Take it out") as told:
        pack(adapter)
    assert secret not in str(told.value)


def test_what_was_altered_or_not_proven(adapter: Path, exported: Path, tmp_path: Path) -> None:
    failed = Path(shutil.copytree(exported, tmp_path / "failed"))
    edit_json(failed / "proof.json", passed=False)
    with pytest.raises(ExportError, match=r"its proof failed \(proof.json\), so it is not uploaded"):
        pack(failed)
    record = json.loads((exported / "proof.json").read_text())
    edit_json(exported / "config.json", vocab_size=1)
    with pytest.raises(ExportError, match=r"config.json: missing or not the one that was proven. Export it again."):
        pack(exported)
    edit_json(exported / "proof.json", files={"../run/adapter/README.md": record["files"]["config.json"]})
    with pytest.raises(ExportError, match="missing or not the one that was proven"):
        pack(exported)
    edit_json(adapter / "speechadapt.json", weights_sha256="0" * 64)
    with pytest.raises(AdapterError, match="Copy the adapter again"):
        pack(adapter)


def test_a_card_that_the_hub_could_not_read(adapter: Path) -> None:
    (adapter / "README.md").write_text("---\nlanguage: [en\n---\n")
    with pytest.raises(ExportError, match=r"README.md: the block at its top cannot be read"):
        pack(adapter)


def test_the_command(hub: FakeHub, adapter: Path) -> None:
    environment = os.environ | {"HF_ENDPOINT": hub.address, "HF_HUB_DISABLE_XET": "1", "MY_TOKEN": TOKEN, "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    environment.pop("HF_HUB_OFFLINE", None)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "import sys; from speechadapt.cli import main; sys.exit(main())", "push", str(adapter), "me/mine", *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    dry = run("--dry-run", "--private")
    assert dry.returncode == 0, dry.stderr
    assert dry.stdout.splitlines()[0] == (f"would upload this adapter to {hub.address}/me/mine, branch main (repository: would be made, private):")
    assert [line.split()[0] for line in dry.stdout.splitlines()[1:]] == sorted(path.name for path in adapter.iterdir())
    assert not hub.repositories
    done = run("--private", "--token-env", "MY_TOKEN", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["commit"].startswith(f"{hub.address}/me/mine/commit/")
    assert hub.repositories["me/mine"] == files_of(adapter)
    hub.failing["preupload"] = 404
    refused = run("--token-env", "MY_TOKEN")
    assert refused.returncode == 1
    assert "has no me/mine, or hides it from this token (404)" in refused.stderr
