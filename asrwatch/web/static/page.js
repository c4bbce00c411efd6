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

  function refreshRows(told) {
    for (const list of document.querySelectorAll("[data-list]")) {
      const body = list.querySelector("[data-rows]");
      const { states, inbox, q, first, most } = list.dataset;
      const wanted = states ? states.split(" ") : [];
      for (const id of Object.keys(told.rows).map(Number).sort((a, b) => a - b)) {
        const fresh = row(told.rows[id]);
        const known = body.querySelector(`tr[data-recording="${id}"]`);
        const fits = (!wanted.length || wanted.includes(fresh.dataset.state)) &&
          (!inbox || inbox === fresh.dataset.inbox);
        if (known) {
          fresh.classList.toggle("fresh", known.dataset.state !== fresh.dataset.state);
          fresh.classList.toggle("left", !fits);
          const focused = known.contains(document.activeElement);
          known.replaceWith(fresh);
          if (focused) fresh.querySelector("a").focus();
        } else if (fits && !q && first === "yes") {
          const newest = Number(body.firstElementChild?.dataset.recording ?? 0);
          if (id > newest) {
            fresh.classList.add("fresh");
            body.prepend(fresh);
            while (body.children.length > Number(most)) body.lastElementChild.remove();
          }
        } else if (fits) {
          const note = list.querySelector("[data-fresh]");
          const newest = Number(body.firstElementChild?.dataset.recording ?? 0);
          if (note && id > newest) note.hidden = false;
        }
      }
      const empty = list.querySelector("[data-empty]");
      if (empty) empty.hidden = body.children.length > 0;
    }
  }

  async function refreshStory(story) {
    const answer = await fetch(location.pathname, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const other = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = other.querySelector("[data-story]");
    if (!fresh) return;
    if (fresh.dataset.has !== story.dataset.has) {
      location.reload();
      return;
    }
    for (const part of ["story", "acts", "events", "pieces", "facts", "paid"]) {
      const here = story.querySelector(`[data-part="${part}"]`);
      const there = fresh.querySelector(`[data-part="${part}"]`);
      // a form that somebody is filling in is left alone
      if (here && there && !here.querySelector("details[open]")) here.replaceWith(there);
    }
  }

  function say(on) {
    if (live) {
      live.textContent = on ? live.dataset.on : live.dataset.off;
      live.classList.toggle("off", !on);
    }
  }

  if (["overview", "recordings", "story"].includes(page)) {
    const events = new EventSource(`/events?since=${encodeURIComponent(document.body.dataset.mark)}`);
    events.addEventListener("open", () => say(true));
    events.addEventListener("error", () => say(false));
    events.addEventListener("change", (event) => {
      const told = JSON.parse(event.data);
      refreshRows(told);
      const story = document.querySelector("[data-story]");
      if (story && told.ids.includes(Number(story.dataset.story))) refreshStory(story);
    });
    events.addEventListener("now", (event) => {
      const part = document.querySelector('[data-part="now"]');
      if (part && !part.contains(document.activeElement)) {
        part.replaceChildren(parsed(JSON.parse(event.data).html));
      }
    });
    events.addEventListener("reload", () => location.reload());
    addEventListener("pagehide", () => events.close());
  }
})();
