// Filters a long list of boxes by what is typed, or down to the chosen ones; fetches what a document offers, and the
// questions for what is chosen, without leaving the page. Without it the whole list stands there, and buttons do it.
"use strict";

function offer(box) {
  const find = box.querySelector("[data-offered-find]");
  const only = box.querySelector("[data-offered-only]");
  const count = box.querySelector("[data-offered-count]");
  if (!find) return;
  const rows = [...box.querySelectorAll(".offered-one")];
  const chosen = (row) => row.querySelector("input").checked;

  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word)) || (only.checked && !chosen(row));
    }
    for (const group of box.querySelectorAll(".offered-group")) {
      group.hidden = ![...group.querySelectorAll(".offered-one")].some((row) => !row.hidden);
    }
    tell();
  };
  const tell = () => {
    const shown = rows.filter((row) => !row.hidden).length;
    const picked = rows.filter(chosen).length;
    count.textContent = `${picked} of ${rows.length} chosen` + (shown < rows.length ? `, ${shown} shown` : "");
  };
  find.addEventListener("input", filter);
  only.addEventListener("change", filter);
  // Enter here means to look, not to save the whole form.
  find.addEventListener("keydown", (event) => event.key === "Enter" && event.preventDefault());
  box.querySelector(".offered-list").addEventListener("change", tell);
  box.querySelector(".offered-tools").hidden = false;
  tell();
}

// --- fetching the next questions -------------------------------------------------------------------
const SECRET = /^(secret_|hook_secret$)/;
let newest = 0;

async function look(form, parts, button = "_look", value = "1") {
  const number = ++newest;
  const data = new FormData(form);
  for (const name of [...data.keys()]) if (SECRET.test(name)) data.delete(name);
  data.set(button, value);
  // Sheets that were opened before their questions were there: all of them at once.
  for (const one of document.querySelectorAll("details[data-folded][open]")) data.append("_open", one.dataset.operation);
  const boxes = parts.map((part) => document.querySelector(part));
  boxes.forEach((box) => box.setAttribute("aria-busy", "true"));
  try {
    const answer = await fetch(location.href, { method: "POST", body: data, credentials: "same-origin" });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    // A later question is under way: its answer counts.
    if (number !== newest) return;
    parts.forEach((part, index) => renew(boxes[index], page.querySelector(part)));
    if (button === "_fetch") settle(page);
    complain(page);
  } finally {
    boxes.forEach((box) => box.removeAttribute("aria-busy"));
  }
}

function renew(box, fresh) {
  if (!fresh) return;
  const focused = document.activeElement && box.contains(document.activeElement) ? document.activeElement.id : "";
  const open = new Set([...box.querySelectorAll("details[open][data-operation]")].map((one) => one.dataset.operation));
  const known = new Set([...box.querySelectorAll("details[data-operation]")].map((one) => one.dataset.operation));
  for (const one of fresh.querySelectorAll("details[data-operation]")) {
    if (known.has(one.dataset.operation)) one.open = open.has(one.dataset.operation);
  }
  box.replaceChildren(...fresh.childNodes);
  if (box.classList.contains("offered")) offer(box);
  if (focused) document.getElementById(focused)?.focus();
}

// What was fetched takes the place of what was pasted or chosen before.
function settle(page) {
  if (!page.querySelector("[data-fetched] input[type=hidden]")) return;
  const text = document.getElementById("id_config_document");
  const file = document.getElementById("id_config_document_file");
  if (text) text.value = "";
  if (file) file.value = "";
}

// What is wrong with the document itself is said where the document is.
function complain(page) {
  for (const row of document.querySelectorAll(".form-row[class*='field-config_document']")) {
    const name = [...row.classList].find((one) => one.startsWith("field-"));
    row.querySelector(":scope > .errorlist")?.remove();
    const said = page.querySelector(`.form-row.${name} > .errorlist`);
    row.classList.toggle("errors", Boolean(said));
    if (said) row.prepend(document.importNode(said, true));
  }
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".offered").forEach(offer);
  const list = document.querySelector("[data-offered]");
  const sheets = document.querySelector("[data-sheets]");
  if (!list || !sheets) return;
  const form = list.closest("form");
  let timer = 0;
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(() => look(form, ["[data-sheets]"]), 300);
  };
  const fetched = document.querySelector("[data-fetched]") ? ["[data-fetched]"] : [];
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-look], [data-fetch], [data-open]");
    if (!button) return;
    event.preventDefault();
    const parts = button.matches("[data-open]") ? ["[data-sheets]"] : [...fetched, "[data-offered]", "[data-sheets]"];
    look(form, parts, button.name, button.value).catch(() => form.requestSubmit(button));
  });
  // Opening a sheet asks for its questions, where they were left out; toggle events do not bubble.
  sheets.addEventListener("toggle", (event) => {
    const sheet = event.target;
    if (sheet.open && sheet.matches("[data-folded]")) soon();
  }, true);
  form.addEventListener("change", (event) => {
    if (event.target.closest(".offered-list") || event.target.matches("[data-redraws]")) soon();
  });
});
