"""`speechadapt transcribe`: recordings, or a manifest, to text."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speechadapt.errors import AudioError, MisuseError

if TYPE_CHECKING:
    from speechadapt.models.speech_model import DecodeSettings
    from speechadapt.subtitles import Line
    from speechadapt.transcriber import Transcript

EXAMPLE = """
speechadapt transcribe talk.wav --base openai/whisper-tiny.en
speechadapt transcribe a.flac b.mp3 --adapter runs/quickstart/adapter --out both.jsonl
speechadapt transcribe talk.wav --adapter runs/quickstart/adapter --out talk.srt
speechadapt transcribe talk.wav --base openai/whisper-tiny.en --timestamps word --json
speechadapt transcribe talk.wav --base openai/whisper-tiny.en --prompt "With Siobhan and Nguyen." --temperature 0.2
speechadapt transcribe talk.wav --base facebook/wav2vec2-base-960h --words --json
speechadapt transcribe talk.wav --base facebook/wav2vec2-base-960h --lm english.arpa
speechadapt transcribe --manifest data/test.jsonl --adapter runs/quickstart/adapter --window short --out adapted.jsonl
"""

LM_BEAM = 50
SUBTITLES = (".srt", ".vtt")
SUFFIXES = (".txt", ".jsonl", *SUBTITLES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define what may follow `speechadapt transcribe`."""
    parser.add_argument("audio", metavar="AUDIO", nargs="*", type=Path, help="recordings of any length: WAV, FLAC, MP3, OGG")
    parser.add_argument("--manifest", type=Path, metavar="M", help="transcribe the utterances of a manifest instead")
    parser.add_argument("--base", metavar="B", help="a Hub id or a folder (default: the base the adapter was trained for)")
    parser.add_argument("--revision", metavar="SHA", help="of the base on the Hub")
    parser.add_argument("--adapter", type=Path, metavar="DIR", help="an adapter folder, such as RUN/adapter")
    parser.add_argument("--language", metavar="TAG", help="of the speech, such as en (multilingual bases; default: detected)")
    parser.add_argument("--window", choices=("full", "short"), default="full", help="what the encoder sees; short is faster and needs an adapter")
    parser.add_argument("--beam", type=int, metavar="N", help=f"1 is greedy (default: 1, with --lm {LM_BEAM})")
    parser.add_argument("--lm", type=Path, metavar="FILE", help="n-gram language model, ARPA or KenLM's binary (CTC models; extra: lm)")
    parser.add_argument("--lm-weight", type=float, metavar="X", help="of the language model against the audio (default: 1)")
    parser.add_argument("--word-score", type=float, metavar="X", help="what each word adds to a text's score (default: 0)")
    parser.add_argument("--timestamps", choices=("segment", "word"), help="sentences with their times; word: each word's times as well")
    parser.add_argument("--words", action="store_true", help="add each word's times to --json and .jsonl, and leave the segments as they are")
    parser.add_argument("--prompt", metavar="TEXT", help="what was said before, for names and spelling (Whisper)")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 takes the likeliest tokens, above it up to 1 they are drawn (Whisper)")
    parser.add_argument(
        "--vad",
        action=argparse.BooleanOptionalAction,
        help="find speech by Silero's network, so that silence gives no text (default: where the extra vad is installed)",
    )
    parser.add_argument("--device", metavar="D", help="cpu, cuda or cuda:1 (default: the best there is)")
    parser.add_argument("--out", type=Path, metavar="F", help="write to a file: .txt, .jsonl (hypotheses), .srt or .vtt (one recording)")
    parser.add_argument("--json", action="store_true", help="print a list of objects instead of text")


def execute(options: argparse.Namespace) -> int:
    """Transcribe; 1 if a recording could not be read (the others are still transcribed)."""
    _check(options)
    return _manifest(options) if options.manifest else _recordings(options)


def _check(options: argparse.Namespace) -> None:
    if bool(options.audio) == bool(options.manifest):
        raise MisuseError("give recordings, or --manifest M, and not both.")
    if not options.base and not options.adapter:
        raise MisuseError("no model: give --base B (such as openai/whisper-tiny.en), or --adapter DIR, which names its base.")
    if options.beam is not None and options.beam < 1:
        raise MisuseError(f"--beam {options.beam}: must be 1 or more. 1 is greedy.")
    if options.window == "short" and not options.adapter:
        raise MisuseError("--window short: a base without an adapter loops in the short window. Give --adapter, or use --window full.")
    if options.lm is None and (options.lm_weight is not None or options.word_score is not None):
        raise MisuseError("--lm-weight and --word-score weigh a language model, and none was given. Give one with --lm FILE.")
    if options.lm is not None and not options.lm.is_file():
        raise MisuseError(f"--lm {options.lm}: no such file. Give an n-gram model, ARPA or KenLM's binary.")
    suffix = options.out.suffix if options.out else ".txt"
    if suffix not in SUFFIXES:
        raise MisuseError(f'--out {options.out}: ends in "{suffix}", must end in one of {", ".join(SUFFIXES)}. Change the name.')
    if options.words and (options.manifest or not (options.json or suffix == ".jsonl")):
        raise MisuseError("--words: only recordings have them, in --json or in a .jsonl file. Add --json or --out FILE.jsonl, without --manifest.")
    if options.timestamps and (options.manifest or not (options.json or suffix in (".jsonl", *SUBTITLES))):
        raise MisuseError(
            "--timestamps: only recordings have them, in --json, a .jsonl file or subtitles. Add --json or --out FILE.srt, without --manifest."
        )
    if options.vad is not None and options.manifest:
        raise MisuseError("--vad: the utterances of a manifest are heard whole. Leave it out.")
    if options.temperature is not None and not 0 <= options.temperature <= 1:
        raise MisuseError(f"--temperature {options.temperature}: must be from 0 to 1. 0 takes the likeliest tokens.")
    if suffix in SUBTITLES and (options.manifest or len(options.audio) != 1):
        raise MisuseError(f"--out {options.out}: subtitles are for one recording. Give one, or write .jsonl.")


def _manifest(options: argparse.Namespace) -> int:
    from speechadapt.adapt.adapter import load_adapter, read_adapter
    from speechadapt.data.manifest import Manifest
    from speechadapt.evaluation import transcribe_manifest
    from speechadapt.models.load import load_model

    manifest = Manifest.read(options.manifest)
    facts = read_adapter(options.adapter) if options.adapter else None
    base, language = options.base or (facts.base_id if facts else ""), options.language or (facts.language if facts else None)
    model = load_model(base, revision=options.revision, language=language, device=options.device)
    if facts:
        load_adapter(model, facts.folder)
    hypotheses = transcribe_manifest(model, manifest, settings=_settings(options))
    _write(options, [one.to_json() for one in hypotheses])
    return 0


def _settings(options: argparse.Namespace) -> "DecodeSettings":
    from speechadapt.models.speech_model import DecodeSettings

    given = {
        "lm": options.lm and str(options.lm),
        "lm_weight": options.lm_weight,
        "word_score": options.word_score,
        "prompt": options.prompt,
        "temperature": options.temperature,
    }
    beam = options.beam or (LM_BEAM if options.lm else 1)
    return DecodeSettings(window=options.window, beam=beam, **{name: value for name, value in given.items() if value is not None})


def _recordings(options: argparse.Namespace) -> int:
    from speechadapt.transcriber import Transcriber

    transcriber = Transcriber(
        options.base,
        adapter=options.adapter,
        revision=options.revision,
        language=options.language,
        device=options.device,
        vad=options.vad,
        settings=_settings(options),
    )
    by_word = options.out is not None and options.out.suffix in SUBTITLES and options.timestamps != "segment"
    words = options.words or options.timestamps == "word"
    told = False
    rows: list[dict[str, Any]] = []
    lines: list[Line] = []
    failed = 0
    for path in options.audio:
        try:
            transcript = transcriber.transcribe(path, timestamps=options.timestamps, words=words or by_word)
            rows.append(_row(path, transcript, words))
            lines += _lines(transcript, by_word)
            if transcript.cut_by == "quiet" and options.vad is None and not told:
                told = True
                print("speechadapt transcribe: silence was heard too, as the extra vad is not installed; --no-vad hides this line.", file=sys.stderr)
            if transcript.dropped:
                print(f"speechadapt transcribe: {path}: {transcript.dropped} pieces without speech dropped.", file=sys.stderr)
        except AudioError as error:
            failed += 1
            print(f"speechadapt transcribe: {error}", file=sys.stderr)
    if rows or options.json:
        _write(options, rows, lines)
    return 1 if failed else 0


def _row(path: Path, transcript: "Transcript", words: bool) -> dict[str, Any]:
    segments: list[dict[str, Any]] = [
        {"start": s.start, "end": s.end, "text": s.text, "avg_logprob": s.avg_logprob}
        | ({"words": [dataclasses.asdict(word) for word in s.words]} if words else {})
        for s in transcript.segments
    ]
    row: dict[str, Any] = {"id": str(path), "text": transcript.text, "duration": transcript.duration, "segments": segments}
    return row | {"language": transcript.language, "no_speech": transcript.no_speech, "dropped": transcript.dropped, "cut_by": transcript.cut_by}


def _lines(transcript: "Transcript", by_word: bool) -> "list[Line]":
    from speechadapt.subtitles import cut_lines

    if by_word:
        return cut_lines((word.start, word.end, word.text) for segment in transcript.segments for word in segment.words)
    return [(segment.start, segment.end, segment.text) for segment in transcript.segments]


def _write(options: argparse.Namespace, rows: list[dict[str, Any]], lines: "Sequence[Line]" = ()) -> None:
    from speechadapt.files import write_text

    if options.out:
        write_text(options.out, _as_text(rows, lines, options.out.suffix))
        print(f"{len(rows)} transcripts: {options.out}", file=sys.stderr)
    if options.json:
        print(json.dumps(rows, ensure_ascii=False, indent=2))
    elif not options.out:
        print(_as_text(rows, lines, ".txt"), end="")


def _as_text(rows: list[dict[str, Any]], lines: "Sequence[Line]", suffix: str) -> str:
    from speechadapt.subtitles import to_srt, to_vtt

    if suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if suffix == ".txt":
        return f"{rows[0]['text']}\n" if len(rows) == 1 else "".join(f"{row['id']}\t{row['text']}\n" for row in rows)
    return to_srt(lines) if suffix == ".srt" else to_vtt(lines)
