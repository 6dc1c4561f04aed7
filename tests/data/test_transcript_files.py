"""References and hypotheses in every format people have, and how they find each other."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from speechadapt.data.manifest import Manifest
from speechadapt.data.reference import ReferenceSet
from speechadapt.data.transcript_files import References, form_of, read_hypothesis_file, read_reference_files
from speechadapt.data.transcript_rows import Columns
from speechadapt.errors import CorpusError, ManifestError, MisuseError

Writer = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Writer:
    def file(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return path

    return file


def rows(*values: dict[str, object]) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def texts(references: References) -> dict[str, tuple[str, ...]]:
    assert isinstance(references.found, ReferenceSet)
    return {one.id: one.texts for one in references.found}


def said(path: Path, references: References, **how: object) -> dict[str, str]:
    return {one.id: one.text for one in read_hypothesis_file(path, references, **how).found}  # type: ignore[arg-type]


NATIVE = rows(
    {"id": "a", "audio_filepath": "audio/one.flac", "duration": 2.0, "text": "hello there", "speaker": "s1", "accent": "hindi"},
    {"id": "b", "audio_filepath": "audio/two.flac", "duration": 1.5, "text": "good bye", "speaker": "s2"},
)


def test_our_own_manifest_stays_a_manifest(write: Writer) -> None:
    found = read_reference_files([write("test.jsonl", NATIVE)])
    assert isinstance(found.found, Manifest)
    assert (found.form, found.found.name, [u.id for u in found.found]) == ("jsonl", "test", ["a", "b"])


def test_a_manifest_with_a_broken_line_is_refused_by_its_own_rules(write: Writer) -> None:
    path = write("test.jsonl", NATIVE + rows({"id": "c", "audio_filepath": "c.flac", "duration": 0, "text": "x"}))
    with pytest.raises(ManifestError, match=r'utterance "c" \(.*line 3\): duration 0.00 s, must be above 0'):
        read_reference_files([path])


def test_nemo_output_is_both_sides_and_is_joined_by_audio_and_offset(write: Writer) -> None:
    nemo = rows(
        {"audio_filepath": "/data/x.wav", "duration": 2.0, "text": "hello there", "pred_text": "hello bear", "accent": "welsh"},
        {"audio_filepath": "/data/x.wav", "offset": 2.5, "duration": 1.0, "text": "good bye", "pred_text": "good buy"},
    )
    path = write("nemo.jsonl", nemo)
    references = read_reference_files([path])
    assert texts(references) == {"/data/x.wav": ("hello there",), "/data/x.wav@2.5": ("good bye",)}
    first = references.found[0]
    assert (first.value("accent"), first.duration, first.value("pred_text")) == ("welsh", 2.0, None)  # type: ignore[union-attr]
    assert said(path, references) == {"/data/x.wav": "hello bear", "/data/x.wav@2.5": "good buy"}


@pytest.mark.parametrize("audio", ["audio/one.flac", "/elsewhere/one.wav", "one"])
def test_hypotheses_that_name_audio_find_the_id(write: Writer, audio: str) -> None:
    references = read_reference_files([write("test.jsonl", NATIVE)])
    path = write("said.jsonl", rows({"audio_filepath": audio, "pred_text": "hello"}, {"audio_filepath": "three.wav", "pred_text": "more"}))
    assert said(path, references) == {"a": "hello", "three.wav": "more"}


def test_an_audio_name_that_two_references_have_is_not_guessed(write: Writer) -> None:
    manifest = rows(*({"id": key, "audio_filepath": f"{key}/clip.wav", "duration": 1.0, "text": "x"} for key in "pq"))
    references = read_reference_files([write("test.jsonl", manifest)])
    assert said(write("said.csv", "file,text\nclip.wav,x\n"), references) == {"clip.wav": "x"}
    assert said(write("said.csv", "file,text\nq/clip.wav,x\n"), references) == {"q": "x"}


def test_tables_take_usual_names_or_those_that_are_given(write: Writer) -> None:
    refs = write("refs.csv", '\ufeffutt_id,sentence,speaker,accent\r\nu1,"well, yes",s1,welsh\r\nu2,no,s2,\r\n')
    references = read_reference_files([refs])
    assert texts(references) == {"u1": ("well, yes",), "u2": ("no",)}
    assert isinstance(references.found, ReferenceSet)
    assert [(one.speaker, dict(one.fields)) for one in references.found] == [("s1", {"accent": "welsh"}), ("s2", {})]
    assert said(write("hyps.tsv", "utt_id\tmine\tother\nu1\twell yes\tx\nu2\t\ty\n"), references, columns=Columns(text="mine")) == {
        "u1": "well yes",
        "u2": "",
    }
    with pytest.raises(ManifestError, match=r'no field "yours"; found utt_id, mine, other. Name the field with --id-field or --text-field'):
        said(write("hyps.tsv", "utt_id\tmine\tother\nu1\ta\tx\n"), references, columns=Columns(text="yours"))
    with pytest.raises(ManifestError, match=r"no field for the id \(id, utt_id"):
        said(write("hyps.tsv", "name\ttext\nu1\ta\n"), references)


def test_one_table_with_both_columns(write: Writer) -> None:
    path = write("both.csv", "id,reference,hypothesis,accent\n1,good day,good die,irish\n")
    references = read_reference_files([path])
    assert texts(references) == {"1": ("good day",)}
    assert said(path, references) == {"1": "good die"}
    assert references.found[0].value("hypothesis") is None  # type: ignore[union-attr]


def test_kaldi_reads_what_lies_beside_text(write: Writer) -> None:
    write("data/utt2spk", "u1 s1\nu2 s2\n")
    write("data/spk2gender", "s1 f\n")
    write("data/utt2dur", "u1 2.5\n")
    text = write("data/text", "u1 hello there\nu2\nu3\ttab is fine\n")
    references = read_reference_files([text])
    assert texts(references) == {"u1": ("hello there",), "u2": ("",), "u3": ("tab is fine",)}
    assert isinstance(references.found, ReferenceSet)
    assert [(one.speaker, one.duration, one.value("gender")) for one in references.found] == [
        ("s1", 2.5, "female"),
        ("s2", None, None),
        (None, None, None),
    ]
    assert texts(read_reference_files([text.parent])) == texts(references)
    write("data/utt2dur", "u1 long\n")
    with pytest.raises(ManifestError, match=r'utt2dur: the duration of "u1" is "long", must be seconds above 0'):
        read_reference_files([text])


def test_trn(write: Writer) -> None:
    references = read_reference_files([write("ref.trn", ";; a comment\nhello (uh) { there / their } (s1-u1)\n(s1_u2)\n")])
    assert texts(references) == {"s1-u1": ("hello (uh) { there / their }",), "s1_u2": ("",)}
    assert [one.speaker for one in references.found] == ["s1", "s1"]
    assert references.form == "trn"
    with pytest.raises(ManifestError, match=r"ref.trn, line 2: does not end in an id in parentheses: 'hello there'"):
        read_reference_files([write("ref.trn", "hello (s1-u1)\nhello there\n")])


STM = """;; CATEGORY "0" "" ""
talk A ann 0.00 2.00 <o,f0,female> hello there
talk A bob 2.50 4.00 <o,f0,male> good bye
talk A inter_segment_gap 4.00 6.00 ignore_time_segment_in_scoring
talk A ann 6.00 7.00 so
"""


def test_stm_and_ctm_are_joined_by_time(write: Writer) -> None:
    references = read_reference_files([write("ref.stm", STM)])
    assert list(texts(references)) == ["talk-A-0.00-2.00", "talk-A-2.50-4.00", "talk-A-6.00-7.00"]
    first = references.found[0]
    assert (first.speaker, first.duration, first.value("gender"), first.value("labels")) == ("ann", 2.0, "female", "o,f0,female")  # type: ignore[union-attr]
    ctm = """talk A 0.10 0.30 hello 0.9
talk A 1.80 0.30 there
talk A 2.25 0.10 uh
talk A 2.60 0.30 good
talk A 3.00 0.30 bye
talk A 4.50 0.30 ignored
talk A 6.20 0.30 so
"""
    found = read_hypothesis_file(write("sys.ctm", ctm), references)
    assert {one.id: one.text for one in found.found} == {
        "talk-A-0.00-2.00": "hello there",  # its middle, 1.95 s, lies inside
        "talk-A-2.50-4.00": "uh good bye",  # 2.30 s is nearer to 2.5 than to 2.0
        "talk-A-6.00-7.00": "so",
    }
    assert [note.partition(": ")[2] for note in found.notes] == [
        "1 words lie between the references; each counts in the nearest one.",
        "1 words lie in stretches that are not scored, and are left out.",
    ]


def test_a_recording_the_system_passed_over_is_missing_and_a_silent_stretch_is_empty(write: Writer) -> None:
    references = read_reference_files([write("ref.stm", STM + "other A ann 0 1 more\n")])
    assert said(write("sys.ctm", "talk A 0.1 0.3 hello\n"), references) == {
        "talk-A-0.00-2.00": "hello",
        "talk-A-2.50-4.00": "",
        "talk-A-6.00-7.00": "",
    }


def test_ctm_of_single_clips_and_of_a_recording_nobody_knows(write: Writer) -> None:
    references = read_reference_files([write("test.jsonl", NATIVE)])
    ctm = "one A 0.0 0.5 hello\none A 0.6 0.5 there\nstranger A 0 1 what\n"
    assert said(write("sys.ctm", ctm), references) == {"a": "hello there", "stranger": "what"}


def test_another_channel_does_not_take_the_place_of_the_one_in_the_test(write: Writer) -> None:
    references = read_reference_files([write("ref.stm", "talk A ann 0 2 hello there\n")])
    ctm = "talk A 0.1 0.3 hello\ntalk A 0.9 0.3 there\ntalk B 0.1 0.3 other\n"
    assert said(write("sys.ctm", ctm), references) == {"talk-A-0-2": "hello there", "talk": "other"}
    native = read_reference_files([write("test.jsonl", NATIVE)])
    assert said(write("sys.ctm", "one A 0 1 hello\none B 0 1 there\n"), native) == {"a": "hello there"}


def test_subtitles_of_a_whole_recording_are_cut_by_the_references(write: Writer) -> None:
    manifest = rows(
        {"id": "p", "audio_filepath": "talk.wav", "offset": 0.0, "duration": 2.0, "text": "one"},
        {"id": "q", "audio_filepath": "talk.wav", "offset": 2.0, "duration": 2.0, "text": "two"},
    )
    references = read_reference_files([write("test.jsonl", manifest)])
    srt = "1\n00:00:00,500 --> 00:00:01,500\nfirst\n\n2\n00:00:02,100 --> 00:00:03,000\nsecond\n"
    assert said(write("talk.srt", srt), references) == {"p": "first", "q": "second"}
    vtt = "WEBVTT\n\n00:00.500 --> 00:01.500\n<v Ann>first\n"
    assert said(write("out/talk.vtt", vtt).parent, references) == {"p": "first", "q": ""}


def test_folders_of_text(write: Writer) -> None:
    write("refs/s1/one.txt", "hello\nthere\n")
    folder = write("refs/s1/two.txt", "bye").parent.parent
    references = read_reference_files([folder])
    assert texts(references) == {"s1/one": ("hello\nthere",), "s1/two": ("bye",)}
    assert said(folder, references) == {"s1/one": "hello\nthere", "s1/two": "bye"}
    native = read_reference_files([write("test.jsonl", NATIVE)])
    assert said(folder, native) == {"a": "hello\nthere", "b": "bye"}
    with pytest.raises(ManifestError, match=r"no \.txt, \.srt or \.vtt file in it"):
        read_reference_files([write("empty/readme.md", "x").parent])


def test_a_link_out_of_the_folder_is_refused(write: Writer, tmp_path: Path) -> None:
    secret = write("secret.txt", "password")
    folder = write("refs/one.txt", "hello").parent
    (folder / "two.txt").symlink_to(secret)
    with pytest.raises(ManifestError, match=r"two.txt: leads out of "):
        read_reference_files([folder])


def test_lines_without_ids_must_be_asked_for(write: Writer) -> None:
    refs, hyps = write("refs.txt", "the cat\nthe dog\n\nlast"), write("hyps.txt", "the cat\n\nmore\nlast\n")
    with pytest.raises(ManifestError, match=r'the id "the" stands 2 times .*If the lines have no ids, say so with --refs-form lines\.'):
        read_reference_files([refs])
    references = read_reference_files([refs], form="lines")
    assert texts(references) == {"1": ("the cat",), "2": ("the dog",), "3": ("",), "4": ("last",)}
    assert said(hyps, references, form="lines") == {"1": "the cat", "2": "", "3": "more", "4": "last"}


def test_further_references(write: Writer) -> None:
    first, second = write("a.text", "u1 color\nu2 gray\n"), write("b.tsv", "id\ttext\nu1\tcolour\n")
    assert texts(read_reference_files([first, second])) == {"u1": ("color", "colour"), "u2": ("gray",)}
    native = read_reference_files([write("test.jsonl", NATIVE), write("c.jsonl", rows({"id": "a", "text": "hi there"}))])
    assert texts(native) == {"a": ("hello there", "hi there"), "b": ("good bye",)}
    assert native.found[0].value("accent") == "hindi"  # type: ignore[union-attr]
    with pytest.raises(ManifestError, match=r'b.tsv: 1 ids are not in .*a.text, the first is "u9"'):
        read_reference_files([first, write("b.tsv", "id\ttext\nu9\tx\n")])


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("x.jsonl", "", ManifestError, "no utterance in it"),
        ("x.csv", "id,text\n", ManifestError, "no reference in it"),
        ("x.csv", "id,text\na,b,c\n", ManifestError, r"line 2: 3 values for 2 columns \(1 such lines\)"),
        ("x.csv", "id,text\na,b\na,c\n", ManifestError, r'the id "a" stands 2 times \(.*line 2 and .*line 3\)'),
        ("x.jsonl", '{"utt_id": 7, "text": null}\n', ManifestError, r'"7" \(.*line 1\): text is None, must be text'),
        ("x.jsonl", '{"utt_id": " ", "text": "a"}\n', ManifestError, "must be the id of an utterance"),
        ("x.jsonl", "[1]\n", ManifestError, "line 1: found list, expected one JSON object per line|not a JSON object"),
        ("x.stm", "talk A ann 0.00\n", ManifestError, "4 fields, expected recording, channel"),
        ("x.stm", "talk A ann 2 1 words\n", ManifestError, "ends at 1 s, must be after its start, 2 s"),
        ("x.stm", "talk A ann nan 1 words\n", ManifestError, 'the time "nan" is no number of seconds'),
        ("x.text", b"u1 caf\xe9\n", ManifestError, r"line 1: not UTF-8 text"),
        ("x.text", b"\xff\xfe" + "u1 ok\n".encode("utf-16-le")[:-1], ManifestError, "not UTF-16 text"),
        ("x.docx", "u1 ok\n", MisuseError, r'the ending ".docx" says no format'),
        ("x.srt", "1\nno times here\n", CorpusError, "no times and no text"),
        ("x.ctm", "talk A 0 1 w\n", MisuseError, "CTM holds a system's words"),
    ],
)
def test_bad_references(write: Writer, name: str, content: str | bytes, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        read_reference_files([write(name, content)])


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("x.stm", STM, MisuseError, "STM holds references"),
        ("x.ctm", "talk A 0 <ALT_BEGIN>\n", ManifestError, "4 fields"),
        ("x.ctm", "talk A * * <ALT_BEGIN>\n", ManifestError, r"alternatives \(<ALT_BEGIN>\) of a system are not scored"),
        ("x.jsonl", rows({"id": "a", "text": 3}), ManifestError, "text is 3, must be text in quotes"),
        ("x.csv", "file,text\none.wav,x\naudio/one.flac,y\n", ManifestError, 'the id "a" stands 2 times'),
    ],
)
def test_bad_hypotheses(write: Writer, name: str, content: str, error: type[Exception], message: str) -> None:
    references = read_reference_files([write("test.jsonl", NATIVE)])
    with pytest.raises(error, match=message):
        read_hypothesis_file(write(name, content), references)


def test_forms_that_do_not_exist(write: Writer, tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match='form "xml", must be one of jsonl, table'):
        form_of(write("a.txt", "x"), "xml")
    with pytest.raises(ManifestError, match="no such file or folder"):
        form_of(tmp_path / "none.stm")


def test_line_separators_and_right_to_left_text_are_kept(write: Writer) -> None:
    references = read_reference_files([write("x.text", "u1 שלום\u2028עולם\r\nu2 \u202bمرحبا\u202c\r\n")])
    assert texts(references) == {"u1": ("שלום\u2028עולם",), "u2": ("\u202bمرحبا\u202c",)}


def test_a_very_long_line(write: Writer) -> None:
    references = read_reference_files([write("x.text", "u1 " + "word " * 100_000)])
    assert len(texts(references)["u1"][0].split()) == 100_000


def test_lines_of_utf16_are_counted_by_their_letters(write: Writer) -> None:
    """The letter ਊ (U+0A0A) and the end of a line hold the same byte, and the file's last byte is none."""
    text = "ਊ one\n\ntwo\n"
    references = read_reference_files([write("refs.txt", text)], form="lines")
    assert texts(references) == {"1": ("ਊ one",), "2": ("",), "3": ("two",)}
    assert said(write("hyps.txt", text.encode("utf-16")), references, form="lines") == {"1": "ਊ one", "2": "", "3": "two"}


def test_numbers_are_ids_of_hypotheses_too(write: Writer) -> None:
    references = read_reference_files([write("refs.csv", "id,text\n1,one\n2,two\n")])
    assert said(write("hyps.jsonl", rows({"id": 1, "text": "one"}, {"id": 2, "text": "too"})), references) == {"1": "one", "2": "too"}


def test_a_json_list_is_told_as_such(write: Writer) -> None:
    path = write("list.json", '[{"id": "a", "text": "one"}]')
    with pytest.raises(ManifestError, match=r"list\.json, line 1: a JSON list, not a JSON object\. Write its objects one per line"):
        read_reference_files([path])
    references = read_reference_files([write("refs.txt", "a one\n")])
    with pytest.raises(ManifestError, match=r"list\.json, line 1: a JSON list, not a JSON object"):
        read_hypothesis_file(path, references)
