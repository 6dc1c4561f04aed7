"""Records and files: utterances, manifests, hypotheses, splits and checks. No torch."""
