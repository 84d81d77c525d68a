// Filters a long list of boxes by what is typed, or down to the chosen ones. Without it the whole list stands there.
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

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".offered").forEach(offer));
