"use strict";
document.documentElement.classList.add("js");
document.addEventListener("DOMContentLoaded", () => {
  const at = (id) => document.getElementById(id);
  const cards = [...document.querySelectorAll(".card")];
  const storageKey = "i2pa-favourites-" + document.documentElement.dataset.key;
  const box = (card) => card.querySelector(".favourite input");
  const shot = (card) => card.querySelector(".shot");
  const nameOf = (card) => card.querySelector(".name").textContent;
  const searched = new Map(cards.map((card) => [card, nameOf(card).toLocaleLowerCase()]));
  const unfolded = new Set();
  let here = null;

  // Which cards show

  const visible = () => cards.filter((card) => !card.classList.contains("away"));

  function show() {
    const words = at("search").value.trim().toLocaleLowerCase();
    const levels = new Set(
      [...document.querySelectorAll('.levels [aria-pressed="true"]')].map((b) => b.dataset.level));
    const only = at("only").getAttribute("aria-pressed") === "true";
    let hidden = 0;
    for (const card of cards) {
      const folded = card.classList.contains("sibling") && !unfolded.has(card.dataset.group);
      const wanted = (!words || searched.get(card).includes(words))
        && (!levels.size || levels.has(card.dataset.level)) && (!only || box(card).checked);
      const under = wanted && folded && !words && !only;
      card.classList.toggle("away", !wanted || under);
      hidden += under;
    }
    const shown = visible();
    const all = cards.length.toLocaleString("en");
    const found = shown.length + hidden;
    at("count").textContent = (found < cards.length ? `${found.toLocaleString("en")} of ` : "")
      + all + (cards.length === 1 ? " picture" : " pictures")
      + (hidden ? ` (${hidden.toLocaleString("en")} folded)` : "");
    if (!shown.includes(here)) settle(shown[0] || null);
  }

  function toggle(button) {
    button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
    show();
  }

  function fold(card) {
    const group = card.dataset.group;
    if (!group) return;
    const button = document.querySelector(`.card[data-group="${group}"] .unfold`);
    const wanted = !unfolded.has(group);
    if (wanted) unfolded.add(group); else unfolded.delete(group);
    button.setAttribute("aria-expanded", wanted);
    if (!wanted && card.classList.contains("sibling")) go(button.closest(".card"));
    show();
  }

  // Moving about: one card at a time is in the order of the Tab key

  function settle(card) {
    const reach = (one, index) => {
      for (const control of one.querySelectorAll("button, input")) control.tabIndex = index;
    };
    if (here) reach(here, -1);
    here = card;
    if (here) reach(here, 0);
  }

  function go(card) {
    if (!card) return;
    settle(card);
    shot(card).focus();
    card.scrollIntoView({ block: "nearest" });
  }

  function above(from, down) {
    const shown = visible();
    const start = from.getBoundingClientRect();
    const step = down ? 1 : -1;
    let best = null;
    let row = null;
    for (let i = shown.indexOf(from) + step; shown[i]; i += step) {
      const place = shown[i].getBoundingClientRect();
      if (Math.abs(place.top - start.top) < 2) continue;
      if (row !== null && Math.abs(place.top - row) > 2) break;
      row = place.top;
      const away = Math.abs(place.left - start.left);
      if (!best || away < best.away) best = { card: shown[i], away };
    }
    return best && best.card;
  }

  function next(card, step) {
    const shown = visible();
    return shown[shown.indexOf(card) + step] || null;
  }

  // Favourites

  function chosen() {
    return cards.filter((card) => box(card).checked);
  }

  function count() {
    const lines = chosen().map((card) => card.dataset.line);
    at("n").textContent = lines.length.toLocaleString("en");
    at("copy").disabled = at("save").disabled = !lines.length;
    try {
      localStorage.setItem(storageKey, JSON.stringify(lines));
    } catch { /* A browser that remembers nothing: the choice lasts as long as the page. */ }
  }

  function choose(card) {
    box(card).checked = !box(card).checked;
    count();
  }

  function remember() {
    try {
      const lines = new Set(JSON.parse(localStorage.getItem(storageKey) || "[]"));
      for (const card of cards) box(card).checked = lines.has(card.dataset.line);
    } catch { /* Nothing remembered. */ }
  }

  const names = () => chosen().map((card) => card.dataset.line + "\n").join("");

  async function copy() {
    const many = chosen().length;
    try {
      await navigator.clipboard.writeText(names());
    } catch {
      at("names").value = names();
      at("list").showModal();
      at("names").select();
      return;
    }
    at("said").textContent = many === 1 ? "1 name copied" : `${many} names copied`;
  }

  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([names()], { type: "text/plain" }));
    link.download = "favourites.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    at("said").textContent = "favourites.txt saved";
  }

  // The large view

  function enlarge(card) {
    const picture = card.querySelector(".shot img");
    if (!picture) return;
    go(card);
    at("large").src = picture.src;
    at("large").alt = picture.alt;
    const words = [".rank", ".name", ".place", ".tie"].map((part) => card.querySelector(part));
    at("caption").textContent = words.filter(Boolean).map((word) => word.textContent).join(" · ");
    at("mark").setAttribute("aria-pressed", box(card).checked);
    at("previous").disabled = !next(card, -1);
    at("next").disabled = !next(card, 1);
    if (!at("zoom").open) at("zoom").showModal();
  }

  function turn(step) {
    let card = next(here, step);
    while (card && !card.querySelector("img")) card = next(card, step);
    if (card) enlarge(card);
  }

  function mark() {
    choose(here);
    at("mark").setAttribute("aria-pressed", box(here).checked);
  }

  // Keys and clicks

  const moves = {
    ArrowRight: (card) => next(card, 1),
    ArrowLeft: (card) => next(card, -1),
    ArrowDown: (card) => above(card, true),
    ArrowUp: (card) => above(card, false),
    Home: () => visible()[0],
    End: () => visible().at(-1),
  };

  document.querySelector(".sheet").addEventListener("keydown", (event) => {
    const card = event.target.closest(".card");
    if (!card || event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) go(moves[event.key](card));
    else if (event.key === "f" || event.key === "F") choose(card);
    else if (event.key === "u" || event.key === "U") fold(card);
    else if (event.key === "Enter" && event.target.type === "checkbox") choose(card);
    else return;
    event.preventDefault();
  });

  document.querySelector(".sheet").addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (!card) return;
    if (event.target.closest(".shot")) enlarge(card);
    else if (event.target.closest(".unfold")) { settle(card); fold(card); }
  });

  document.querySelector(".sheet").addEventListener("change", (event) => {
    settle(event.target.closest(".card"));
    count();
  });

  at("zoom").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowRight" || event.key === "ArrowDown") turn(1);
    else if (event.key === "ArrowLeft" || event.key === "ArrowUp") turn(-1);
    else if (event.key === "f" || event.key === "F") mark();
    else return;
    event.preventDefault();
  });
  at("zoom").addEventListener("close", () => go(here));
  at("previous").addEventListener("click", () => turn(-1));
  at("next").addEventListener("click", () => turn(1));
  at("mark").addEventListener("click", mark);
  at("close").addEventListener("click", () => at("zoom").close());
  at("done").addEventListener("click", () => at("list").close());
  at("search").addEventListener("input", show);
  at("only").addEventListener("click", (event) => toggle(event.currentTarget));
  at("copy").addEventListener("click", copy);
  at("save").addEventListener("click", save);
  for (const button of document.querySelectorAll(".levels button")) {
    button.addEventListener("click", () => toggle(button));
  }
  document.querySelector(".bar").addEventListener("submit", (event) => event.preventDefault());

  remember();
  count();
  show();
});
