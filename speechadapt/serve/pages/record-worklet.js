"use strict";
// Runs beside the sound: hands the samples of the first channel to the page in pieces of about a fiftieth of a second.
registerProcessor("speechadapt-tap", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Float32Array(Math.max(128, Math.round(sampleRate / 50)));
    this.filled = 0;
  }

  process(inputs) {
    const samples = inputs[0][0];
    for (let from = 0; samples && from < samples.length;) {
      const count = Math.min(samples.length - from, this.piece.length - this.filled);
      this.piece.set(samples.subarray(from, from + count), this.filled);
      from += count;
      this.filled += count;
      if (this.filled === this.piece.length) {
        const full = this.piece.slice();
        this.port.postMessage(full, [full.buffer]);
        this.filled = 0;
      }
    }
    return true;
  }
});
