"""ELAN files as ELAN writes them, for the tests of their reader and of the corpus script."""

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape, quoteattr

Timed = tuple[str, str, str, str]
"""Annotation id, two time slots, text."""
Hanging = tuple[str, str, str | None, str]
"""Annotation id, the annotation it hangs on, the one it follows, text."""


def timed(name: str, *annotations: Timed, type: str = "utterance", participant: str = "") -> str:
    """A tier with times of its own."""
    held = [
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{key}" TIME_SLOT_REF1="{first}" TIME_SLOT_REF2="{last}">'
        f"<ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
        for key, first, last, text in annotations
    ]
    told = f" PARTICIPANT={quoteattr(participant)}" if participant else ""
    return f'<TIER DEFAULT_LOCALE="en" LINGUISTIC_TYPE_REF={quoteattr(type)}{told} TIER_ID={quoteattr(name)}>' + "\n".join(held) + "</TIER>"


def hanging(name: str, parent: str, *annotations: Hanging, type: str = "gloss") -> str:
    """A tier whose annotations take the times of those they hang on."""
    held = []
    for key, reference, previous, text in annotations:
        after = f' PREVIOUS_ANNOTATION="{previous}"' if previous else ""
        held.append(
            f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="{key}" ANNOTATION_REF="{reference}"{after}>'
            f"<ANNOTATION_VALUE>{escape(text)}</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>"
        )
    return f"<TIER LINGUISTIC_TYPE_REF={quoteattr(type)} PARENT_REF={quoteattr(parent)} TIER_ID={quoteattr(name)}>" + "\n".join(held) + "</TIER>"


def medium(url: str, relative: str = "", *, mime: str = "audio/x-wav", origin: int | None = None) -> str:
    """A recording that the file names."""
    near = f" RELATIVE_MEDIA_URL={quoteattr(relative)}" if relative else ""
    shift = f' TIME_ORIGIN="{origin}"' if origin is not None else ""
    return f'<MEDIA_DESCRIPTOR MEDIA_URL={quoteattr(url)} MIME_TYPE="{mime}"{near}{shift}/>'


def eaf(*tiers: str, slots: Mapping[str, int | None], media: Sequence[str] = ()) -> str:
    """A whole file; a slot of None has no time."""
    order = [f'<TIME_SLOT TIME_SLOT_ID="{name}"' + ("" if time is None else f' TIME_VALUE="{time}"') + "/>" for name, time in slots.items()]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<ANNOTATION_DOCUMENT AUTHOR="" DATE="2020-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">',
            '<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">',
            *media,
            '<PROPERTY NAME="lastUsedAnnotationId">9</PROPERTY></HEADER>',
            "<TIME_ORDER>",
            *order,
            "</TIME_ORDER>",
            *tiers,
            '<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="utterance" TIME_ALIGNABLE="true"/>',
            "</ANNOTATION_DOCUMENT>",
        ]
    )
