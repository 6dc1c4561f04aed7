"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const SECTIONS = ["consent", "refused", "studio", "end", "closed"];
  const BEFORE = 0.3; // seconds that are kept from before the button was pressed, so that no beginning is cut off
  const AFTER = 0.3;
  const LOUD = 0.999;
  const QUIET_DB = -45;
  const FLOOR_DB = -60;

  // Theme: what the system says, until the reader says otherwise.
  const THEMES = ["system", "light", "dark"];
  const remember = (key, value) => { try { sessionStorage.setItem(key, value); } catch { /* private windows may not */ } };
  const recall = (key) => { try { return sessionStorage.getItem(key); } catch { return null; } };
  const setTheme = (name) => {
    if (name === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    byId("theme").querySelector("span").textContent = name;
    remember("speechadapt-theme", name);
  };
  setTheme(THEMES.includes(recall("speechadapt-theme")) ? recall("speechadapt-theme") : "system");
  byId("theme").addEventListener("click", () => {
    setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme || "system") + 1) % THEMES.length]);
  });

  // The token stands behind the # of the address, goes into this tab's own storage, and out of the address, where others might read it.
  const given = /^#[\w-]{20,}$/.test(location.hash) ? location.hash.slice(1) : null;
  const token = given || recall("speechadapt-record-token") || "";
  if (given) {
    remember("speechadapt-record-token", given);
    history.replaceState(null, "", location.pathname);
  }

  let state = null; // what the server said
  let place = 0; // number of the prompt that is shown
  let mode = "waiting"; // waiting, ready, starting, recording, ending, checking, review, saving
  let take = null; // {wav, url, fatal}
  let tap = null; // the microphone: {context, rate, stream}
  let pieces = [];
  let held = 0; // samples in pieces
  let until = Infinity; // samples after which the recording ends
  let meter = { level: FLOOR_DB, peak: FLOOR_DB, over: 0, heard: 0 };

  const say = (text) => { byId("status").textContent = text; };
  const trouble = (text) => {
    byId("trouble").textContent = text;
    byId("trouble").hidden = !text;
    if (text) byId("trouble").scrollIntoView({ block: "nearest" });
  };
  const show = (name, focused) => {
    for (const one of SECTIONS) byId(one).hidden = one !== name;
    if (focused) byId(focused).focus();
  };

  const ask = async (path, options = {}) => {
    let answer;
    try {
      answer = await fetch(path, { ...options, headers: { "X-Record-Token": token }, cache: "no-store", redirect: "error" });
    } catch {
      throw new Error("The program does not answer. Is it still running in the terminal? What was kept is saved.");
    }
    if (!answer.ok) {
      let told = null;
      try { told = (await answer.json()).error; } catch { /* not ours */ }
      throw new Error(told || `The program answered ${answer.status}.`);
    }
    return answer;
  };
  const post = async (path, body) => (await ask(path, { method: "POST", body })).json();

  // ---- the microphone

  const openMicrophone = async () => {
    if (tap && tap.stream.getAudioTracks().every((track) => track.readyState === "live")) {
      if (tap.context.state !== "running") await tap.context.resume();
      return;
    }
    closeMicrophone();
    if (!navigator.mediaDevices || !window.AudioWorkletNode) {
      throw new Error("This browser gives no microphone to this page. Open it as http://localhost or http://127.0.0.1, in a browser of today.");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 },
      });
    } catch (error) {
      const why = {
        NotAllowedError: "The browser may not use the microphone. Allow it at the left of the address line, then press Record again.",
        NotFoundError: "There is no microphone. Connect one, then press Record again.",
        NotReadableError: "The microphone is used by another program. Close that one, then press Record again.",
      };
      throw new Error(why[error.name] || `The microphone cannot be opened (${error.name}).`);
    }
    const context = new AudioContext(); // at the device's own rate
    await context.audioWorklet.addModule("record-worklet.js");
    const source = context.createMediaStreamSource(stream);
    const node = new AudioWorkletNode(context, "speechadapt-tap", { numberOfInputs: 1, numberOfOutputs: 1, channelCount: 1, channelCountMode: "explicit" });
    const mute = context.createGain();
    mute.gain.value = 0;
    source.connect(node).connect(mute).connect(context.destination); // browsers run only what leads somewhere
    node.port.onmessage = (event) => hear(event.data);
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      if (mode === "recording" || mode === "ending") { drop(); trouble("The microphone was taken away in the middle. Connect it and record this sentence again."); }
    });
    tap = { context, rate: context.sampleRate, stream, source, node };
    await context.resume();
  };

  const closeMicrophone = () => {
    if (!tap) return;
    tap.node.port.onmessage = null;
    for (const track of tap.stream.getTracks()) track.stop();
    tap.context.close();
    tap = null;
    pieces = [];
    held = 0;
  };

  const hear = (samples) => {
    let power = 0, peak = 0;
    for (const sample of samples) {
      power += sample * sample;
      peak = Math.max(peak, Math.abs(sample));
    }
    const decibels = (value) => Math.max(FLOOR_DB, 10 * Math.log10(value + 1e-12));
    meter.level = decibels(power / samples.length);
    meter.peak = Math.max(decibels(peak * peak), meter.peak - 0.5);
    if (peak >= LOUD) meter.over = 50;
    else if (meter.over) meter.over -= 1;
    meter.heard = meter.level >= QUIET_DB ? 100 : Math.max(0, meter.heard - 1);
    pieces.push(samples);
    held += samples.length;
    if (mode === "recording" || mode === "ending") {
      if (mode === "recording" && held >= state.longest * tap.rate) { end(); until = held; }
      if (mode === "ending" && held >= until) finishTake();
      return;
    }
    while (pieces.length && held - pieces[0].length >= BEFORE * tap.rate) held -= pieces.shift().length;
  };

  const drawMeter = () => {
    const share = (level) => `${(100 * (level - FLOOR_DB)) / -FLOOR_DB}%`;
    byId("level").style.width = tap ? share(meter.level) : "0";
    byId("level").classList.toggle("over", meter.over > 0);
    byId("peak").style.left = tap ? share(meter.peak) : "0";
    let said = "";
    if (mode === "recording") {
      const seconds = (held / tap.rate).toFixed(0);
      said = meter.over ? "Too loud: move back a little." : meter.heard || held < 2 * tap.rate ? `Recording, ${seconds} s` : "Very quiet: is this the right microphone?";
    } else if (mode === "ready") {
      said = tap ? "The microphone is on." : "Press Record, read aloud, press Stop. You can listen to it and read again before it is kept.";
    }
    if (byId("level-said").textContent !== said) byId("level-said").textContent = said;
    requestAnimationFrame(drawMeter);
  };

  // ---- a take

  const begin = async () => {
    if (mode !== "ready" && mode !== "review") return;
    forget();
    trouble("");
    setMode("starting");
    try {
      await openMicrophone();
    } catch (error) {
      setMode("ready");
      trouble(error.message);
      return;
    }
    until = Infinity;
    setMode("recording");
    say("Recording");
    byId("prompt").focus();
  };

  const end = () => {
    if (mode !== "recording") return;
    until = held + AFTER * tap.rate;
    setMode("ending");
  };

  const drop = () => {
    pieces = [];
    held = 0;
    setMode("ready");
  };

  const finishTake = async () => {
    const rate = tap.rate;
    const samples = new Float32Array(held);
    let filled = 0;
    for (const piece of pieces) { samples.set(piece, filled); filled += piece.length; }
    pieces = [];
    held = 0;
    setMode("checking");
    const made = { wav: encode(samples, rate), fatal: true, prompt: state.prompts[place].id };
    made.url = URL.createObjectURL(made.wav);
    take = made;
    byId("sound").src = made.url;
    drawWave(samples);
    let found;
    try {
      found = await post(`api/check?prompt=${made.prompt}`, made.wav);
    } catch (error) {
      found = { fatal: true, duration: samples.length / rate, level_dbfs: null, findings: [{ name: "error", text: error.message }] };
    }
    if (take !== made) return;
    take.fatal = found.fatal;
    const good = !found.findings.length;
    byId("told").textContent = found.fatal ? "This take cannot be kept" : good ? "Sounds good" : "Please check";
    byId("told").className = `mark ${good ? "good" : "bad"}`;
    const size = `${found.duration.toFixed(1)} s${found.level_dbfs === null ? "" : `, voice at ${found.level_dbfs.toFixed(0)} dB`}.`;
    byId("findings").replaceChildren(...[...found.findings.map((one) => one.text), size].map((text) => {
      const item = document.createElement("li");
      item.textContent = text;
      return item;
    }));
    take.good = good;
    byId("keep").textContent = good ? "Keep" : "Keep anyway";
    setMode("review");
    byId("told").focus();
    say(`${byId("told").textContent}. ${found.findings.map((one) => one.text).join(" ")}`);
  };

  // 16-bit PCM, one channel: a header of 44 bytes and the samples.
  const encode = (samples, rate) => {
    const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
    const letters = (at, text) => { for (let i = 0; i < text.length; i += 1) view.setUint8(at + i, text.charCodeAt(i)); };
    letters(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); letters(8, "WAVEfmt ");
    view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
    view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
    letters(36, "data"); view.setUint32(40, 2 * samples.length, true);
    for (let i = 0; i < samples.length; i += 1) view.setInt16(44 + 2 * i, Math.max(-32768, Math.min(32767, Math.round(samples[i] * 32767))), true);
    return new Blob([view.buffer], { type: "audio/wav" });
  };

  const drawWave = (samples) => {
    const canvas = byId("wave");
    const pen = canvas.getContext("2d");
    const style = getComputedStyle(document.documentElement);
    const [ink, bad] = ["--accent", "--bad"].map((name) => style.getPropertyValue(name));
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const middle = canvas.height / 2;
    for (let x = 0; x < canvas.width; x += 1) {
      const from = Math.floor((x * samples.length) / canvas.width), to = Math.max(from + 1, Math.floor(((x + 1) * samples.length) / canvas.width));
      let high = 0;
      for (let i = from; i < to && i < samples.length; i += 1) high = Math.max(high, Math.abs(samples[i]));
      pen.fillStyle = high >= LOUD ? bad : ink;
      pen.fillRect(x, middle - Math.max(0.5, high * middle), 1, Math.max(1, 2 * high * middle));
    }
  };

  const forget = () => {
    if (take) URL.revokeObjectURL(take.url);
    take = null;
    byId("sound").pause();
    byId("sound").removeAttribute("src");
    byId("sound").load();
  };

  const keep = async () => {
    if (mode !== "review" || !take) return;
    if (take.fatal) { say("This take cannot be kept. Record it again."); return; }
    setMode("saving");
    try {
      const answer = await post(`api/keep?prompt=${take.prompt}`, take.wav);
      state.done = new Set(answer.done);
      state.seconds = answer.seconds;
    } catch (error) {
      setMode("review"); // the take is still here
      trouble(error.message);
      return;
    }
    trouble("");
    forget();
    say("Saved.");
    next();
  };

  // ---- which sentence

  const next = () => {
    const count = state.prompts.length;
    for (let step = 1; step <= count; step += 1) {
      const other = (place + step) % count;
      if (!state.done.has(state.prompts[other].id)) { go(other); return; }
    }
    showEnd();
  };

  const go = (number) => {
    forget();
    place = number;
    const prompt = state.prompts[place];
    byId("prompt").textContent = prompt.text;
    byId("prompt").classList.toggle("long", prompt.text.length > 120);
    byId("place").textContent = `Sentence ${place + 1} of ${state.prompts.length}, ${state.done.size} recorded (${clock(state.seconds)})`;
    byId("progress").max = state.prompts.length;
    byId("progress").value = state.done.size;
    show("studio");
    setMode("ready");
    byId("prompt").focus();
  };

  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")} min`;

  const showEnd = () => {
    setMode("waiting");
    closeMicrophone();
    byId("h-end").textContent = state.done.size === state.prompts.length ? "Every sentence is recorded" : "Stopped for now";
    byId("again").textContent = state.done.size === state.prompts.length ? "Look through the sentences again" : "Go on reading";
    byId("end-said").textContent =
      `${state.done.size} of ${state.prompts.length} sentences, ${clock(state.seconds)} of your voice, are saved in ${state.folder}. ` +
      "Start the same command again to go on later.";
    show("end", "h-end");
  };

  const setMode = (name) => {
    mode = name;
    const review = mode === "review" || mode === "saving";
    const live = mode === "recording" || mode === "ending";
    const kept = state && state.prompts[place] && state.done.has(state.prompts[place].id);
    byId("review").hidden = !review;
    byId("meter").hidden = byId("level-said").hidden = review;
    byId("keep").hidden = !review;
    byId("keep").disabled = mode === "saving" || Boolean(take && take.fatal);
    byId("record").textContent = live ? "Stop" : mode === "checking" ? "One moment" : review ? "Record again" : kept ? "Record it anew" : "Record";
    byId("record").classList.toggle("live", live);
    byId("record").classList.toggle("second", review && Boolean(take && take.good)); // what is advised stands out
    byId("keep").classList.toggle("second", review && !(take && take.good));
    byId("record").disabled = !["ready", "review", "recording"].includes(mode);
    for (const id of ["back", "skip", "stop"]) byId(id).disabled = !["ready", "review"].includes(mode);
    byId("hear").hidden = !(kept && mode === "ready");
    document.documentElement.dataset.mode = mode;
  };

  byId("record").addEventListener("click", () => { if (mode === "recording") end(); else begin(); });
  byId("keep").addEventListener("click", keep);
  byId("back").addEventListener("click", () => go((place + state.prompts.length - 1) % state.prompts.length));
  byId("skip").addEventListener("click", () => {
    if (place + 1 < state.prompts.length) go(place + 1);
    else { forget(); showEnd(); }
  });
  byId("stop").addEventListener("click", () => { forget(); showEnd(); });
  byId("hear").addEventListener("click", async () => {
    try {
      const answer = await ask(`api/take?prompt=${state.prompts[place].id}`);
      forget();
      const sound = new Audio(URL.createObjectURL(await answer.blob()));
      sound.addEventListener("ended", () => URL.revokeObjectURL(sound.src));
      await sound.play();
    } catch (error) { trouble(error.message); }
  });
  byId("again").addEventListener("click", () => { if (state.done.size === state.prompts.length) go(0); else start(); });
  byId("finish").addEventListener("click", async () => {
    closeMicrophone();
    try {
      await post("api/stop");
      byId("closed-said").textContent = "The program has ended. You can close this page; the terminal says how to go on.";
      show("closed", "h-closed");
    } catch (error) { trouble(error.message); }
  });

  // Space and Enter, unless something has the focus that they belong to already.
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.altKey || event.metaKey || byId("studio").hidden) return;
    if (event.target.closest && event.target.closest("button, a, input, select, audio, summary")) return;
    if (event.key === " ") { event.preventDefault(); if (mode === "recording") end(); else begin(); }
    else if (event.key === "Enter") { event.preventDefault(); keep(); }
  });

  addEventListener("beforeunload", (event) => {
    if ((mode === "review" && take && !take.fatal) || mode === "recording") event.preventDefault();
  });

  // ---- consent

  const answer = async (given) => {
    try {
      state.consent.given = (await post(`api/consent?given=${given ? "yes" : "no"}`)).consent;
    } catch (error) { trouble(error.message); return; }
    trouble("");
    if (given) start();
    else { closeMicrophone(); show("refused", "h-refused"); }
  };
  byId("agree").addEventListener("click", () => answer(true));
  byId("refuse").addEventListener("click", () => answer(false));
  byId("reconsider").addEventListener("click", () => show("consent", "h-consent"));

  const start = () => {
    place = state.prompts.length - 1;
    next();
  };

  const load = async () => {
    try {
      state = await (await ask("api/state")).json();
    } catch (error) {
      trouble(error.message);
      document.documentElement.dataset.ready = "no";
      return;
    }
    state.done = new Set(state.done);
    if (state.language) byId("prompt").lang = state.language;
    byId("who").querySelector("bdi").textContent = state.speaker;
    byId("who").hidden = false;
    byId("consent-text").replaceChildren(...state.consent.text.split(/\n\s*\n/).map((text) => {
      const paragraph = document.createElement("p");
      paragraph.textContent = text;
      return paragraph;
    }));
    if (state.consent.given) start();
    else show("consent");
    drawMeter();
    document.documentElement.dataset.ready = "yes";
  };
  load();
})();
