"""What counts as the same word: normalizers, named and versioned. No torch."""
