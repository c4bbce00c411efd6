// Live updates, and small things every page shares. Without a script everything can still be read and done.
"use strict";

(() => {
  const page = document.body.dataset.page;
  const live = document.querySelector("[data-live]");

  function parsed(html) {
    // What the server sends was escaped there; a template neither runs nor loads anything.
    const template = document.createElement("template");
    template.innerHTML = html.trim();
    return template.content;
  }

  function row(html) {
    return parsed(`<table><tbody>${html}</tbody></table>`).querySelector("tr");
  }

  // Whether a row that is not shown yet is one that was searched for; words said in it the server alone knows.
  function named(fresh, q) {
    const what = fresh.querySelector(".what");
    const path = `${what.querySelector(".where").textContent}/${what.querySelector("a").textContent}`;
    return path.toLowerCase().includes(q.toLowerCase());
  }

  function refreshRows(told) {
    for (const list of document.querySelectorAll("[data-list]")) {
      const body = list.querySelector("[data-rows]");
      const { states, inbox, q, first, most } = list.dataset;
      const wanted = states ? states.split(" ") : [];
      for (const id of Object.keys(told.rows).map(Number).sort((a, b) => a - b)) {
        const fresh = row(told.rows[id]);
        const known = body.querySelector(`tr[data-recording="${id}"]`);
        const newest = Number(body.firstElementChild?.dataset.recording ?? 0);
        const fits = (!wanted.length || wanted.includes(fresh.dataset.state)) &&
          (!inbox || inbox === fresh.dataset.inbox);
        if (known) {
          fresh.classList.toggle("fresh", known.dataset.state !== fresh.dataset.state);
          fresh.classList.toggle("left", !fits);
          const focused = known.contains(document.activeElement);
          known.replaceWith(fresh);
          if (focused) fresh.querySelector("a").focus({ preventScroll: true });
        } else if (fits && id > newest && (!q || named(fresh, q))) {
          const note = list.querySelector("[data-fresh]");
          if (first === "yes") {
            fresh.classList.add("fresh");
            body.prepend(fresh);
            while (body.children.length > Number(most)) body.lastElementChild.remove();
          } else if (note) {
            note.hidden = false;
          }
        }
      }
      const empty = list.querySelector("[data-empty]");
      if (empty) empty.hidden = body.children.length > 0;
    }
  }

  // In the place of a part, without losing the link that has the focus.
  function replace(here, there) {
    const focused = here.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    here.replaceWith(there);
    if (focused) there.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  let latest = 0;

  // The page as it is now: its parts, but not what somebody plays, types or fills in.
  async function refresh() {
    const number = (latest += 1);
    let answer;
    let text;
    try {
      answer = await fetch(location.href, { headers: { accept: "text/html" } });
      text = await answer.text();
    } catch {
      answer = null;
    }
    if (number !== latest) return;
    if (!answer || answer.status >= 500) {
      setTimeout(() => number === latest && refresh(), 3000);
      return;
    }
    if (answer.redirected || !answer.ok) {
      location.reload(); // to log in, or it is forgotten
      return;
    }
    const other = new DOMParser().parseFromString(text, "text/html");
    const story = document.querySelector("[data-story]");
    if (story && story.dataset.has !== other.querySelector("[data-story]")?.dataset.has) {
      const sound = document.querySelector("audio");
      if (sound && !sound.paused) sound.addEventListener("pause", () => location.reload(), { once: true });
      else location.reload();
      return;
    }
    for (const here of document.querySelectorAll("[data-part], [data-list]")) {
      const there = here.dataset.part ? other.querySelector(`[data-part="${here.dataset.part}"]`)
        : other.querySelector("[data-list]");
      // a form that somebody is filling in is left alone
      if (there && !here.querySelector("details[open]")) replace(here, there);
    }
    const token = other.querySelector("meta[name=form]").content; // another after a restart
    for (const each of document.querySelectorAll("input[name=form]")) each.value = token;
  }

  // Of many changes at once the rows of the newest come along: whether others that are shown are meant.
  function isBehind(told) {
    const changed = new Set(told.ids);
    return [...document.querySelectorAll("tr[data-recording], [data-story]")].some((each) => {
      const id = Number(each.dataset.recording ?? each.dataset.story);
      return changed.has(id) && !(each.dataset.recording && id in told.rows);
    });
  }

  const shows = {
    change: (told) => {
      refreshRows(told);
      if (isBehind(told)) refresh();
    },
    now: (told) => {
      const here = document.querySelector("[data-part=now]");
      if (!here) return;
      const there = here.cloneNode(false);
      there.append(parsed(told.html));
      replace(here, there);
    },
    reload: refresh,
  };
  const waiting = [];

  // Nothing is exchanged under a finger or a pressed button: the click would go nowhere.
  function show() {
    if (document.querySelector("main:active")) {
      setTimeout(show, 200);
      return;
    }
    for (const [kind, told] of waiting.splice(0)) shows[kind](told);
  }

  function say(on) {
    if (live) {
      live.textContent = on ? live.dataset.on : live.dataset.off;
      live.classList.toggle("off", !on);
    }
  }

  let events = null;
  let mark = document.body.dataset.mark;
  let again = 0;

  function listen() {
    if (events || document.hidden) return;
    events = new EventSource(`/events?since=${encodeURIComponent(mark)}`);
    events.addEventListener("open", () => say(true));
    events.addEventListener("error", () => {
      say(false);
      if (events?.readyState !== EventSource.CLOSED) return; // it tries again by itself
      hangUp();
      again = setTimeout(listen, 10_000);
    });
    for (const kind of Object.keys(shows)) {
      events.addEventListener(kind, (event) => {
        mark = event.lastEventId || mark;
        waiting.push([kind, JSON.parse(event.data)]);
        show();
      });
    }
  }

  function hangUp() {
    clearTimeout(again);
    events?.close();
    events = null;
  }

  if (["overview", "recordings", "story"].includes(page)) {
    listen();
    // A browser opens six connections to one place: tabs that nobody sees must not hold them.
    document.addEventListener("visibilitychange", () => (document.hidden ? hangUp() : listen()));
    addEventListener("pagehide", hangUp);
    addEventListener("pageshow", listen);
  }
})();
