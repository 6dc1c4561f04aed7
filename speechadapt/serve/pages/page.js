"use strict";
// This file is also the page's audio worklet: there it only passes on what the microphone hears.
if (typeof AudioWorkletProcessor !== "undefined") {
  registerProcessor("microphone", class extends AudioWorkletProcessor {
    process(inputs) {
      if (inputs[0].length) this.port.postMessage(inputs[0][0].slice());
      return true;
    }
  });
} else (() => {
  const byId = (id) => document.getElementById(id);
  const LONGEST_RECORDING = 600;
  const MOST_SAMPLES = 45e6;
  const MOST_CELLS = 9e6;
  const FORMATS = [["text", "Text", "txt"], ["srt", "SRT", "srt"], ["vtt", "VTT", "vtt"]];

  // Theme: what the system says, until the reader says otherwise.
  const theme = byId("theme");
  const THEMES = ["system", "light", "dark"];
  const remembered = (() => { try { return localStorage.getItem("speechadapt-theme"); } catch { return null; } })();
  const setTheme = (name) => {
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    theme.querySelector("span").textContent = name;
    try { localStorage.setItem("speechadapt-theme", name); } catch { /* not every browser may remember */ }
  };
  setTheme(THEMES.includes(remembered) ? remembered : "system");
  theme.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme || "system";
    setTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
  });

  const state = { sound: null, name: "", base: "base", running: null, recorder: null, heard: false };
  const say = (text) => { byId("status").textContent = text; };
  const complain = (text) => { byId("alert").textContent = text; byId("alert").hidden = !text; };
  const time = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

  // The server
  const ask = async (path, options = {}) => {
    const token = byId("token").value;
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let answer;
    try {
      answer = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Error("The server does not answer. Is it still running?");
    }
    if (answer.ok) return answer;
    const told = await answer.json().then((body) => body.error.message, () => "");
    if (answer.status === 401) {
      byId("token-field").hidden = false;
      byId("token").focus();
      throw new Error(token ? "This is not the server's token." : "This server asks for a token. Enter it above.");
    }
    if (answer.status === 429 || answer.status === 503) throw new Error(`The server is busy. Try again in a moment. (${told})`);
    throw new Error(told ? told[0].toUpperCase() + told.slice(1) : `The server answered ${answer.status}.`);
  };

  const loadModels = async () => {
    try {
      const { data } = await (await ask("v1/models")).json();
      const select = byId("adapter");
      const before = select.value;
      state.base = data[0].id;
      const adapters = data.slice(1).map((one) => one.id);
      select.replaceChildren(...adapters.map((id) => new Option(id, id)), new Option("none: the base alone", ""));
      if (adapters.includes(before)) select.value = before;
      select.disabled = false;
      complain("");
      ready();
      return true;
    } catch (error) {
      complain(error.message);
      return false;
    }
  };
  byId("token").addEventListener("change", loadModels);

  const transcribe = async (model, form, signal) => {
    const body = new FormData();
    body.append("file", state.sound, state.name);
    body.append("model", model);
    body.append("response_format", form);
    const answer = await ask("v1/audio/transcriptions", { method: "POST", body, signal });
    return form === "json" ? (await answer.json()).text : answer.text();
  };

  // Sound
  const ready = () => {
    byId("go").disabled = !state.sound || byId("adapter").disabled || state.running !== null || state.recorder !== null;
  };
  const take = (blob, name, told) => {
    state.running?.abort(); // its answer would be shown as that of the new sound
    if (byId("player").src) URL.revokeObjectURL(byId("player").src);
    state.sound = blob;
    state.name = name;
    byId("player").src = URL.createObjectURL(blob);
    byId("player").hidden = false;
    byId("chosen").textContent = told;
    byId("result").hidden = true;
    complain("");
    say("");
    ready();
  };
  const takeFile = (file) => {
    if (!file) return;
    if (!file.size) { complain(`${file.name} is empty. Choose another file.`); return; }
    take(file, file.name, `${file.name}, ${file.size < 1e5 ? `${Math.ceil(file.size / 1e3)} kB` : `${(file.size / 1e6).toFixed(1)} MB`}`);
  };
  byId("file").addEventListener("change", (event) => takeFile(event.target.files[0]));
  const drop = byId("drop");
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => { drop.classList.remove("over"); takeFile(event.dataTransfer.files[0]); });

  const wav = (pieces, length, rate) => {
    const view = new DataView(new ArrayBuffer(44 + 2 * length));
    const word = (at, text) => [...text].forEach((sign, place) => view.setUint8(at + place, sign.charCodeAt(0)));
    word(0, "RIFF"); view.setUint32(4, 36 + 2 * length, true); word(8, "WAVEfmt ");
    view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true); view.setUint32(24, rate, true);
    view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
    word(36, "data"); view.setUint32(40, 2 * length, true);
    let at = 44;
    for (const piece of pieces) for (const one of piece) {
      view.setInt16(at, Math.max(-32768, Math.min(32767, Math.round(32767 * one))), true);
      at += 2;
    }
    return new Blob([view], { type: "audio/wav" });
  };

  const startRecording = async () => {
    if (!navigator.mediaDevices) throw new Error("The browser gives no microphone to this page: it must come from this machine or over https.");
    const plain = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: plain });
    const context = new AudioContext();
    try {
      await context.audioWorklet.addModule("page.js");
      const source = context.createMediaStreamSource(stream);
      const node = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0 });
      const recorder = { stream, context, pieces: [], length: 0, loudest: 0 };
      node.port.onmessage = ({ data }) => {
        if (state.recorder !== recorder) return;
        recorder.pieces.push(data);
        recorder.length += data.length;
        const peak = data.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
        recorder.loudest = Math.max(recorder.loudest, peak);
        byId("level").value = Math.max(peak, 0.85 * byId("level").value);
        byId("clock").textContent = time(recorder.length / context.sampleRate);
        if (recorder.length > Math.min(LONGEST_RECORDING * context.sampleRate, MOST_SAMPLES)) stopRecording();
      };
      stream.getAudioTracks()[0].addEventListener("ended", () => { if (state.recorder === recorder) stopRecording(); }); // unplugged
      source.connect(node);
      return recorder;
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      await context.close();
      throw error;
    }
  };
  const stopRecording = async () => {
    const recorder = state.recorder;
    state.recorder = null;
    for (const track of recorder.stream.getTracks()) track.stop();
    const rate = recorder.context.sampleRate;
    await recorder.context.close();
    showRecording(false);
    if (!recorder.length) { complain("Nothing came from the microphone. Try again."); return; }
    const hint = recorder.loudest >= 0.99 ? "; it is clipped: speak less loudly or further away" : recorder.loudest < 0.02 ? "; it is very soft: is the microphone on?" : "";
    // at the microphone's own rate: the server's resampling is better than browsers', some of which fold the highs into the speech
    take(wav(recorder.pieces, recorder.length, rate), "recording.wav", `Recording of ${(recorder.length / rate).toFixed(1)} s${hint}.`);
  };
  const showRecording = (on) => {
    const button = byId("record");
    button.setAttribute("aria-pressed", String(on));
    button.querySelector(".what").textContent = on ? "Stop" : "Record";
    byId("file").disabled = on;
    if (!on) byId("level").value = 0;
    say(on ? "Recording." : "");
    ready();
  };
  byId("record").addEventListener("click", async () => {
    if (state.recorder) { await stopRecording(); return; }
    complain("");
    byId("record").disabled = true;
    try {
      state.recorder = await startRecording();
      byId("clock").textContent = "0:00";
      showRecording(true);
    } catch (error) {
      const words = { NotAllowedError: "The browser was not allowed to use the microphone.", NotFoundError: "There is no microphone." };
      complain(words[error.name] || error.message);
    } finally {
      byId("record").disabled = false;
    }
  });

  // The texts side by side
  const key = (word) => word.toLowerCase().normalize("NFKC").replace(/[^\p{L}\p{N}\p{M}']/gu, "") || word;
  const difference = (left, right) => {
    // longest common subsequence over words; true stands for a word that the other side does not have
    const [a, b] = [left.map(key), right.map(key)];
    let [head, tail] = [0, 0];
    while (head < a.length && head < b.length && a[head] === b[head]) head += 1;
    while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
    const [rows, columns] = [a.length - head - tail, b.length - head - tail];
    if ((rows + 1) * (columns + 1) > MOST_CELLS) return null;
    const width = columns + 1;
    const table = new Uint16Array((rows + 1) * width);
    for (let i = rows - 1; i >= 0; i -= 1) for (let j = columns - 1; j >= 0; j -= 1) {
      table[i * width + j] = a[head + i] === b[head + j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
    const marks = [a.map(() => false), b.map(() => false)];
    let [i, j] = [0, 0];
    while (i < rows || j < columns) {
      if (i < rows && j < columns && a[head + i] === b[head + j]) { i += 1; j += 1; }
      else if (j >= columns || (i < rows && table[(i + 1) * width + j] >= table[i * width + j + 1])) { marks[0][head + i] = true; i += 1; }
      else { marks[1][head + j] = true; j += 1; }
    }
    return marks;
  };
  const show = (place, name, words, marks, kind, told) => {
    const box = byId(place);
    box.querySelector(".name").textContent = name;
    const text = box.querySelector(".text");
    text.classList.toggle("none", !words.length);
    if (!words.length) { text.textContent = "nothing heard"; return; }
    text.replaceChildren(...words.flatMap((word, at) => {
      if (!marks || !marks[at]) return [`${word} `];
      const span = document.createElement("span");
      span.className = `w ${kind}`;
      span.textContent = word;
      span.title = told;
      return [span, " "];
    }));
  };
  const saveButtons = (place, model, text) => {
    const safe = state.name.replace(/\.[^.]*$/, "") || "transcript";
    byId(place).querySelector(".save").replaceChildren(...FORMATS.map(([form, label, suffix]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", `Download as ${label}`);
      button.addEventListener("click", async () => {
        button.disabled = true;
        complain("");
        try {
          if (form !== "text") say(`Making ${label}…`);
          const content = form === "text" ? `${text}\n` : await transcribe(model, form);
          const link = document.createElement("a");
          link.href = URL.createObjectURL(new Blob([content], { type: "text/plain;charset=utf-8" }));
          link.download = `${safe}.${place}.${suffix}`;
          link.click();
          setTimeout(() => URL.revokeObjectURL(link.href), 10000);
          say("");
        } catch (error) {
          say("");
          complain(error.message);
        }
        button.disabled = false;
      });
      return button;
    }));
  };
  const present = (adapter, baseText, adaptedText) => {
    const words = [baseText, adaptedText ?? ""].map((text) => text.split(/\s+/).filter(Boolean));
    const marks = adaptedText === null ? [null, null] : difference(...words);
    show("base", state.base, words[0], marks && marks[0], "d", "only the base heard this");
    saveButtons("base", "base", baseText);
    byId("adapted").hidden = adaptedText === null;
    if (adaptedText !== null) {
      show("adapted", adapter, words[1], marks && marks[1], "i", "only the adapter heard this");
      saveButtons("adapted", adapter, adaptedText);
    }
    const counts = marks && marks.map((one) => one ? one.filter(Boolean).length : 0);
    const some = (n) => n === 1 ? "1 word" : `${n} words`;
    byId("signs").hidden = adaptedText === null || !counts || counts[0] + counts[1] === 0;
    byId("summary").textContent = adaptedText === null ? "" : !counts ? "The texts are too long to mark their differences."
      : counts[0] + counts[1] === 0 ? "Both heard the same words."
      : `${some(counts[0])} heard by the base alone, ${some(counts[1])} by the adapter alone. Which of them is right, only you can say.`;
    byId("result").hidden = false;
    byId("h-result").focus();
  };
  byId("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!state.sound || state.running) return;
    complain("");
    const adapter = byId("adapter").value;
    state.running = new AbortController();
    byId("cancel").hidden = byId("progress").hidden = false;
    byId("result").hidden = true;
    ready();
    const started = performance.now();
    const clock = setInterval(() => say(`Transcribing, ${time((performance.now() - started) / 1000)}`), 1000);
    say("Transcribing.");
    try {
      const { signal } = state.running;
      const asked = [transcribe("base", "json", signal), adapter ? transcribe(adapter, "json", signal) : null];
      const [baseText, adaptedText] = await Promise.all(asked);
      say("Done.");
      present(adapter, baseText, adaptedText);
    } catch (error) {
      const cancelled = error.name === "AbortError";
      say(cancelled ? "Cancelled." : "");
      if (!cancelled) { complain(error.message); state.running.abort(); }
    } finally {
      clearInterval(clock);
      state.running = null;
      byId("cancel").hidden = byId("progress").hidden = true;
      ready();
    }
  });
  byId("cancel").addEventListener("click", () => state.running?.abort());

  loadModels().then(() => { document.documentElement.dataset.ready = "true"; });
})();
