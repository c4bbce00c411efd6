// The transcript beside the player: a click plays from there, what is being said is marked.
// A recording of twelve hours has a hundred thousand words: only those that are near the window become elements of
// their own, and the current one is found by halving, once for each frame that is drawn.
"use strict";

(() => {
  const transcript = document.querySelector("[data-words]");
  const sound = document.querySelector("[data-sound]");
  const silent = document.querySelector("[data-silent]");
  if (sound && silent) {
    sound.addEventListener("error", () => { silent.hidden = false; });
  }
  if (!transcript || !sound) return;

  const follow = document.querySelector("[data-follow]");
  const times = new Map(); // sentence number -> [begin, end, words]
  let begins = []; // of all timed sentences, in milliseconds
  let numbers = []; // their numbers
  let marked = null;
  let markedWord = null;
  let frame = 0;

  function element(number) {
    return transcript.querySelector(`p[data-s="${number}"]`);
  }

  // The last of these that is not after the moment; -1 before the first.
  function before(count, begin, moment) {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (begin(middle) <= moment) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  function spread(paragraph) {
    const words = times.get(Number(paragraph.dataset.s))?.[2];
    const place = paragraph.lastElementChild;
    if (!words?.length || place.firstElementChild) return;
    const text = place.textContent;
    const pieces = document.createDocumentFragment();
    let at = 0;
    for (let n = 0; n < words.length; n += 4) {
      if (words[n + 2] > at) pieces.append(text.slice(at, words[n + 2]));
      const word = document.createElement("span");
      word.className = "w";
      word.dataset.at = words[n] / 1000;
      word.textContent = text.slice(words[n + 2], words[n + 3]);
      pieces.append(word);
      at = words[n + 3];
    }
    if (at < text.length) pieces.append(text.slice(at));
    place.replaceChildren(pieces);
  }

  function gather(paragraph) {
    const place = paragraph.lastElementChild;
    if (place.firstElementChild && paragraph !== marked) place.textContent = place.textContent;
  }

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      for (const paragraph of entry.target.children) {
        if (entry.isIntersecting) spread(paragraph);
        else gather(paragraph);
      }
    }
  }, { rootMargin: "400px" });

  function mark() {
    const moment = sound.currentTime * 1000;
    const index = before(begins.length, (n) => begins[n], moment);
    const number = index < 0 ? null : numbers[index];
    const [begin, end, words] = number === null ? [0, 0, []] : times.get(number);
    const now = number !== null && (moment <= end + 1500 || index === begins.length - 1) ? element(number) : null;
    if (now !== marked) {
      marked?.classList.remove("now");
      marked?.removeAttribute("aria-current");
      marked = now;
      markedWord?.classList.remove("now");
      markedWord = null;
      if (marked) {
        marked.classList.add("now");
        marked.setAttribute("aria-current", "true");
        spread(marked);
        if (follow?.checked && !sound.paused) marked.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
      }
    }
    if (marked && words.length) {
      const nth = before(words.length / 4, (n) => words[4 * n], moment);
      const spoken = nth < 0 ? null : marked.querySelectorAll(".w")[nth];
      if (spoken !== markedWord) {
        markedWord?.classList.remove("now");
        markedWord = spoken;
        markedWord?.classList.add("now");
      }
    }
    void begin;
  }

  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  function draw() {
    mark();
    frame = sound.paused ? 0 : requestAnimationFrame(draw);
  }

  function play(seconds) {
    sound.currentTime = seconds;
    sound.play().catch(() => {});
    mark();
  }

  transcript.addEventListener("click", (event) => {
    if (!getSelection().isCollapsed) return; // somebody copies words
    const word = event.target.closest(".w");
    const paragraph = event.target.closest("p[data-s]");
    const link = event.target.closest("a.at");
    if (link) event.preventDefault();
    if (word) play(Number(word.dataset.at));
    else if (paragraph && times.has(Number(paragraph.dataset.s))) play(times.get(Number(paragraph.dataset.s))[0] / 1000);
  });
  for (const what of ["play", "playing"]) {
    sound.addEventListener(what, () => { if (!frame) frame = requestAnimationFrame(draw); });
  }
  for (const what of ["seeked", "pause", "timeupdate"]) sound.addEventListener(what, mark);

  function jump() {
    const wanted = /^#t=([\d.]+)$/.exec(location.hash);
    if (!wanted) return;
    sound.currentTime = Number(wanted[1]);
    mark();
    marked?.scrollIntoView({ block: "center" });
  }

  fetch(transcript.dataset.words).then((answer) => answer.json()).then((told) => {
    for (const [number, begin, end, words] of told) times.set(number, [begin, end, words]);
    const sorted = told.map(([number, begin]) => [begin, number]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    begins = sorted.map(([begin]) => begin);
    numbers = sorted.map(([, number]) => number);
    for (const chunk of transcript.querySelectorAll(".chunk")) near.observe(chunk);
    transcript.classList.add("ready");
    jump();
  }).catch(() => {});
  addEventListener("hashchange", jump);
})();
