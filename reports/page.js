// Sorting of tables and the switch between light and dark; without it the page reads the same.
"use strict";

// "+0.004 [-0.006, +0.014]", "12 of 20", "44,769", "1.97 %": sorted by the number in front.
const NUMBER = /^[<>~≤≥]?\s*([+\-−]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)/i;
const words = new Intl.Collator("en", { numeric: true });

function key(cell) {
  const text = cell.textContent.trim();
  if (text === "" || text.startsWith("—")) return { rank: 2, text };
  const found = NUMBER.exec(text);
  if (!found) return { rank: 1, text };
  return { rank: 0, text, value: Number(found[1].replaceAll(",", "").replace("−", "-")) };
}

// Numbers before words, both in the order asked for; what is not known stays last.
function compare(a, b, sign) {
  if (a.rank !== b.rank) return a.rank - b.rank;
  if (a.rank === 2) return 0;
  if (a.rank === 0 && a.value !== b.value) return sign * (a.value - b.value);
  return sign * words.compare(a.text, b.text);
}

function sortBy(table, header) {
  const next = { none: "ascending", ascending: "descending", descending: "none" };
  const order = next[header.ariaSort ?? "none"];
  for (const other of table.tHead.rows[0].cells) other.ariaSort = "none";
  header.ariaSort = order;
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => a.dataset.place - b.dataset.place);
  if (order !== "none") {
    const sign = order === "ascending" ? 1 : -1;
    const keys = new Map(rows.map((row) => [row, key(row.cells[header.cellIndex])]));
    rows.sort((a, b) => compare(keys.get(a), keys.get(b), sign));
  }
  body.append(...rows);
}

for (const table of document.querySelectorAll("table")) {
  const rows = table.tBodies.length ? [...table.tBodies[0].rows] : [];
  if (rows.length < 2) continue;
  rows.forEach((row, place) => { row.dataset.place = place; });
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "sort by this column";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(table, header));
    header.append(button);
    header.ariaSort = "none";
  }
}

// The choice is not kept: a page opened from a disk has no storage of its own.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;
const toggle = document.createElement("button");
toggle.id = "theme";
toggle.type = "button";
const isDark = () => (root.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
const tell = () => { toggle.textContent = isDark() ? "Light" : "Dark"; };
toggle.ariaLabel = "switch between light and dark";
toggle.addEventListener("click", () => {
  root.dataset.theme = isDark() ? "light" : "dark";
  tell();
});
dark.addEventListener("change", tell);
tell();
document.querySelector("nav").append(toggle);

// A narrow screen begins with the report, not with a screenful of contents.
if (window.matchMedia("(max-width: 40rem)").matches) document.querySelector("nav details").open = false;
