"""Record: where the rows come from and under which license, carried into every output as `corpus.json` and a card for people."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speechadapt import __version__
from speechadapt.conversion.job import Job
from speechadapt.conversion.manifests import ALL
from speechadapt.data.corpus_record import NOT_STATED, PRIVACY
from speechadapt.data.manifest import CORPUS_FILE
from speechadapt.errors import ManifestError
from speechadapt.files import read_json, write_json
from speechadapt.units import clock

CARD_FILE = "README.md"
LOCAL = ("source", "audio_roots", "manifests", "expects", "conversion")
"""Keys of corpus.json that tell of this machine, or of the folder it lay in."""
HUB_LICENSES = {
    "CC0": "cc0-1.0",
    "CC0-1.0": "cc0-1.0",
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
    "CC BY-NC 4.0": "cc-by-nc-4.0",
    "CC BY-NC-SA 4.0": "cc-by-nc-sa-4.0",
    "Apache-2.0": "apache-2.0",
    "MIT": "mit",
}
"""The Hub's tags of licenses; of another it gets `other` and the words."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"), (10_000_000, "1M<n<10M"))
Record = dict[str, Any]


def read_corpora(manifests: Sequence[Path]) -> list[Record]:
    """The records that lie beside manifests, each once, without what tells of this machine; where there is none, one that says so.

    Raises:
        ManifestError: a corpus.json is no object.
    """
    found: list[Record] = []
    for folder in dict.fromkeys(path.parent.resolve() for path in manifests):
        file = folder / CORPUS_FILE
        told = read_json(file) if file.is_file() else {"name": folder.name}
        if not isinstance(told, dict):
            raise ManifestError(f"{file}: {type(told).__name__}, expected one JSON object. Prepare the corpus again.")
        for one in told.get("corpora") or [told]:
            record = {key: value for key, value in one.items() if key not in LOCAL}
            for key in ("license", "commercial_use"):
                record.setdefault(key, NOT_STATED)
            if record not in found:
                found.append(record)
    return found


def write_record(job: Job, corpora: Sequence[Record]) -> None:
    """Write `corpus.json`: the record of the corpus, or the list of them, and how this folder was made."""
    names = [str(record.get("name", NOT_STATED)) for record in corpora]
    licenses = list(dict.fromkeys(str(record["license"]) for record in corpora))
    uses = list(dict.fromkeys(str(record["commercial_use"]) for record in corpora))
    whole = (
        dict(corpora[0])
        if len(corpora) == 1
        else {"name": "+".join(names), "license": "; ".join(licenses), "commercial_use": "; ".join(uses), "corpora": list(corpora)}
    )
    whole.setdefault("privacy", PRIVACY)
    about = {"format": job.options.to, "audio": job.options.audio, "program": f"speechadapt {__version__}", "files": []}
    write_json(job.folder / CORPUS_FILE, {**whole, "conversion": about})


def write_card(job: Job, corpora: Sequence[Record], facts: Sequence[str], *, load: str, loaded_as: dict[str, str] | None = None) -> None:
    """Write `README.md`.

    Args:
        facts: sentences on this format.
        load: code that reads the folder, for people to copy.
        loaded_as: of a dataset for the Hub, the files of each split, for the block of metadata that the Hub reads.
    """
    title = " and ".join(str(record.get("title") or record.get("name")) for record in corpora)
    lines = _metadata(job, corpora, title, loaded_as) if loaded_as is not None else []
    lines += [f"# {title}", "", "| split | utterances | audio | speakers |", "|---|---|---|---|"]
    for part in job.parts:
        survey = job.surveys[part.name]
        speakers = job.names.count(f"speaker of {part.name}") or "unknown"
        lines.append(f"| {part.name} | {survey.rows} | {clock(survey.seconds)} | {speakers} |")
    for record in corpora:
        lines += ["", "## License" if len(corpora) == 1 else f"## License of {record.get('name')}", ""]
        lines += [f"- License: {record['license']}", f"- Commercial use: {record['commercial_use']}"]
        lines += [f"- From: {record['home']}"] if record.get("home") else []
        lines.append(f"- Privacy: {record.get('privacy') or PRIVACY}")
    lines += ["", "## What is here", "", *(f"- {fact}" for fact in facts), "", "```", load, "```", ""]
    (job.folder / CARD_FILE).write_text("\n".join(lines), encoding="utf-8")


def _metadata(job: Job, corpora: Sequence[Record], title: str, loaded_as: dict[str, str]) -> list[str]:
    licenses = list(dict.fromkeys(str(record["license"]) for record in corpora))
    tag = HUB_LICENSES.get(licenses[0]) if len(licenses) == 1 else None
    lines = ["---", f"pretty_name: {json.dumps(title, ensure_ascii=False)}"]
    if tag is not None:
        lines.append(f"license: {tag}")
    elif licenses == [NOT_STATED]:
        lines.append("license: unknown")
    else:
        lines += ["license: other", f"license_name: {json.dumps('; '.join(licenses), ensure_ascii=False)}"]
    if job.languages:
        lines += ["language:", *(f"- {json.dumps(language)}" for language in sorted(job.languages))]
    rows = sum(survey.rows for survey in job.surveys.values())
    size = next((name for limit, name in SIZES if rows < limit), "10M<n<100M")
    lines += ["task_categories:", "- automatic-speech-recognition", "size_categories:", f"- {size}"]
    lines += ["configs:", "- config_name: default", "  data_files:"]
    for split, files in loaded_as.items():
        lines += [f"  - split: {split}", f"    path: {json.dumps(files)}"]
    return [*lines, "---", ""]


def hub_split(part: str) -> str:
    """What Hugging Face calls a part: dev is `validation`, and what is not divided `train`."""
    return {"dev": "validation", ALL: "train"}.get(part, part)
