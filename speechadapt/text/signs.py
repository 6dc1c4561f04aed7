"""Signs: apostrophes, hyphens, joiners and the like, of which every script has its own, and which are one to a scorer."""

APOSTROPHES = "'‘’‛`´ʹʻʼʽˈ′＇"
HYPHENS = "-‐‑‒"
TATWEEL = "ـ"
ZWNJ, ZWJ = "\u200c", "\u200d"
JOINED_SCRIPTS = {ZWNJ: ("ARABIC", "MALAYALAM", "SINHALA"), ZWJ: ("MALAYALAM", "SINHALA")}
